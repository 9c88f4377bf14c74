"""Examples over HTTP, with a checkpoint whose vectors can be computed by hand."""

import hashlib
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient

from model import example_weight
from tests.support.clips import clip_bytes

RED, GREEN = (clip_bytes(seconds_colours=[colour]) for colour in ("red", "green"))
RED_AGAIN = clip_bytes(seconds_colours=["red", "red"])
# a name without a colour: ColourText makes it grey
GREY = np.ones(3) / np.sqrt(3)
ADDRESS = "/labels/warm%2Fcold/examples"


@pytest.fixture
def taught(client: TestClient) -> TestClient:
    client.put("/labels", json={"labels": ["warm/cold"]})
    return client


def teach(client: TestClient, *videos: bytes, address: str = ADDRESS) -> httpx2.Response:
    return client.post(address, files=[("file", ("a.mp4", video)) for video in videos])


def similarity(client: TestClient, video: bytes, **options: Any) -> float:
    answer = client.post(
        "/classify",
        content=video,
        params={"top_k": 1000, **options},
        headers={"Content-Type": "video/mp4"},
    ).json()
    [found] = [tag for tag in answer["tags"] if tag["label"] == "warm/cold"]
    value: float = found["similarity"]
    return value


def embedding(client: TestClient, video: bytes) -> np.ndarray[Any, Any]:
    answer = client.post("/embed", content=video, headers={"Content-Type": "video/mp4"})
    return np.array(answer.json()["embeddings"][0])


def test_the_next_request_is_answered_with_the_blend_of_words_and_examples(
    taught: TestClient,
) -> None:
    answer = teach(taught, RED, RED_AGAIN).json()

    assert (answer["added"], answer["removed"], answer["examples"]) == (2, 0, 2)
    assert answer["weight"] == example_weight(2)
    assert answer["warnings"] == []
    red = embedding(taught, RED) + embedding(taught, RED_AGAIN)
    blend = (1 - answer["weight"]) * GREY + answer["weight"] * red / np.linalg.norm(red)
    expected = float(embedding(taught, RED) @ blend / np.linalg.norm(blend))
    revision = answer["label_set"]["revision"]
    assert similarity(taught, RED, min_revision=revision) == pytest.approx(expected, abs=1e-4)
    assert taught.get("/labels").headers["etag"] == f'"{revision}"'


def test_examples_are_listed_by_digest_and_removed_one_by_one_or_all(taught: TestClient) -> None:
    before = similarity(taught, RED)
    teach(taught, RED, GREEN)
    teach(taught, RED)
    listed = taught.get(ADDRESS).json()
    digests = {hashlib.sha256(video).hexdigest() for video in (RED, GREEN)}

    one = taught.delete(f"{ADDRESS}/{hashlib.sha256(GREEN).hexdigest()}").json()
    again = taught.delete(f"{ADDRESS}/{hashlib.sha256(GREEN).hexdigest()}")
    left = taught.get(ADDRESS).json()["items"]
    rest = taught.delete(ADDRESS).json()

    assert {item["sha256"] for item in listed["items"]} == digests
    assert all(item["in_use"] for item in listed["items"])
    assert listed["weight"] == example_weight(2)
    assert (one["removed"], one["examples"], rest["removed"], rest["weight"]) == (1, 1, 1, 0)
    assert (again.status_code, again.json()["code"]) == (404, "example_not_found")
    assert [item["sha256"] for item in left] == [hashlib.sha256(RED).hexdigest()]
    assert similarity(taught, RED) == pytest.approx(before)


def test_every_set_has_its_own_examples(taught: TestClient) -> None:
    taught.put("/label-sets/mine", json={"copy_of": "default"}, headers={"If-None-Match": "*"})
    teach(taught, RED, address=f"/label-sets/mine{ADDRESS}")

    assert len(taught.get(f"/label-sets/mine{ADDRESS}").json()["items"]) == 1
    assert taught.get(ADDRESS).json()["items"] == []
    assert similarity(taught, RED, label_set="mine") > similarity(taught, RED)


def test_a_label_named_like_the_address_is_reached_in_another_spelling(taught: TestClient) -> None:
    taught.put("/labels", json={"labels": ["cold/examples"]})

    assert taught.get("/labels/cold/EXAMPLES").json()["name"] == "cold/examples"


@pytest.mark.parametrize(
    ("videos", "status", "code"),
    [
        ([b"no video"], 415, "not_a_video"),
        ([RED, b""], 422, "empty_file"),
        ([RED] * 11, 400, "malformed_request"),
        ([], 400, "malformed_request"),
    ],
)
def test_a_refused_request_adds_no_example(
    taught: TestClient, videos: list[bytes], status: int, code: str
) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    if videos:
        answer = teach(taught, *videos)
    else:
        answer = taught.post(ADDRESS, content=b"x", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert taught.get(ADDRESS).json()["items"] == []


def test_the_error_has_the_number_of_the_broken_video(taught: TestClient) -> None:
    answer = teach(taught, RED, b"no video", GREEN)

    assert answer.status_code == 415
    assert answer.json()["detail"].startswith("video 2: ")
    assert taught.get(ADDRESS).json()["items"] == []


def test_unknown_options_labels_and_digests_are_refused(taught: TestClient) -> None:
    option = taught.post(ADDRESS, files={"file": RED}, data={"weight": "1"})
    label = teach(taught, RED, address="/labels/unknown/examples")
    digest = taught.delete(f"{ADDRESS}/latest")
    stale = taught.post(ADDRESS, files={"file": RED}, headers={"If-Match": '"1"'})

    assert [each.json()["code"] for each in (option, label, digest, stale)] == [
        "invalid_parameter",
        "label_not_found",
        "invalid_parameter",
        "revision_mismatch",
    ]


def test_a_span_of_a_kept_video_teaches_a_label(taught: TestClient) -> None:
    film = clip_bytes(seconds_colours=["red"] * 6 + ["green"] * 6)
    digest = hashlib.sha256(film).hexdigest()
    options = {"keep": True, "window_seconds": 2.0, "stride_seconds": 2.0}
    taught.post(
        "/classify", content=film, params=options, headers={"Content-Type": "video/mp4"}
    ).raise_for_status()
    before = similarity(taught, GREEN)

    span = {"video": digest, "start": 6.0, "end": 12.0}
    answer = taught.post(ADDRESS, json=span).json()
    again = taught.post(ADDRESS, json=span).json()
    other = taught.post(ADDRESS, json={**span, "end": 6.1}).json()

    assert (answer["added"], answer["examples"]) == (1, 1)
    assert (again["added"], other["examples"]) == (0, 2)
    assert similarity(taught, GREEN) > before + 0.05
    named = hashlib.sha256(f"{digest}:6.000-12.000".encode()).hexdigest()
    assert taught.delete(f"{ADDRESS}/{named}").json()["examples"] == 1


def test_a_span_that_is_not_there_is_refused(taught: TestClient) -> None:
    headers = {"Content-Type": "video/mp4"}
    taught.post("/classify", content=RED, params={"keep": True}, headers=headers).raise_for_status()
    span = {"video": hashlib.sha256(RED).hexdigest(), "start": 0.0, "end": 1.0}
    refused: dict[str, list[dict[str, Any]]] = {
        "video_not_found": [{**span, "video": "0" * 64}],
        "invalid_parameter": [
            {**span, "video": "0" * 63},
            {"start": 0.0, "end": 1.0},
            {**span, "keep": True},
            {**span, "end": 0.0},
            {**span, "start": 0.6, "end": 0.5},
            {**span, "start": 9.0, "end": 10.0},
        ],
    }

    for code, spans in refused.items():
        answers = [taught.post(ADDRESS, json=each).json() for each in spans]
        assert [answer["code"] for answer in answers] == [code] * len(spans)
    assert taught.get(ADDRESS).json()["items"] == []
