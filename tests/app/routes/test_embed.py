"""`POST /embed`: the vectors that tagging itself compares."""

from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.support.clips import clip_bytes, still_bytes

RED = clip_bytes(seconds_colours=["red"])
VIDEO = {"Content-Type": "video/mp4"}


def test_a_text_gets_the_vector_that_its_label_is_searched_by(shared_client: TestClient) -> None:
    one = shared_client.post("/embed", json={"text": " red  "}).json()
    several = shared_client.post("/embed", json={"texts": ["blue", "red"]}).json()

    assert one["embeddings"] == [[1.0, 0.0, 0.0]]
    assert several["embeddings"] == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert (one["dim"], one["video"]) == (3, None)
    assert one["model"] == {"id": "colours", "revision": "0"}
    assert one["text_space"] == shared_client.get("/model").json()["text_space"]


def test_a_videos_and_a_texts_vectors_give_the_similarity(shared_client: TestClient) -> None:
    raw = shared_client.post("/embed", content=RED, headers=VIDEO).json()
    form = shared_client.post("/embed", files={"file": RED}, data={"timeout_seconds": "30"}).json()
    [tag] = shared_client.post(
        "/classify", content=RED, params={"labels": "red"}, headers=VIDEO
    ).json()["tags"]
    text = shared_client.post("/embed", json={"text": "red"}).json()

    assert raw["embeddings"] == form["embeddings"]
    assert np.linalg.norm(raw["embeddings"][0]) == pytest.approx(1, abs=1e-3)
    assert np.dot(raw["embeddings"][0], text["embeddings"][0]) == pytest.approx(tag["similarity"])
    assert raw["video"]["duration"] == pytest.approx(1, abs=0.05)
    assert {"decode", "encode"} <= raw["timings"].keys()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#"),
        ({"text": "a", "texts": ["b"]}, "#"),
        ({"text": ""}, "#/text"),
        ({"texts": []}, "#/texts"),
        ({"texts": ["fine", "x" * 201]}, "#/texts/1"),
        ({"texts": ["x"] * 1001}, "#/texts"),
        ({"text": "a", "normalise": True}, "#/normalise"),
    ],
)
def test_a_wrong_text_is_refused_with_its_pointer(
    shared_client: TestClient, body: dict[str, Any], pointer: str
) -> None:
    answer = shared_client.post("/embed", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize("text", ["", " \u200b", "x" * 201, "a\0b"])
def test_a_text_that_is_refused_is_not_called_a_label(shared_client: TestClient, text: str) -> None:
    detail = shared_client.post("/embed", json={"text": text}).json()["detail"]

    assert detail.startswith("#/text: a text ")


@pytest.mark.parametrize(
    ("content", "content_type", "params", "status", "code"),
    [
        (b"{", "application/json", {}, 400, "malformed_request"),
        (b'{"text": "red"}', "application/json", {"top_k": "3"}, 422, "invalid_parameter"),
        (b"", "video/mp4", {}, 422, "empty_file"),
        (b"no video", "video/mp4", {}, 415, "not_a_video"),
        (still_bytes("png"), "video/mp4", {}, 415, "still_picture"),
        (b"red", "text/plain", {}, 415, "unsupported_media_type"),
        (RED, "video/mp4", {"top_k": "3"}, 422, "invalid_parameter"),
        (RED, "video/mp4", {"timeout_seconds": "0.000001"}, 422, "invalid_parameter"),
    ],
)
def test_failures_are_those_of_classify(
    shared_client: TestClient,
    content: bytes,
    content_type: str,
    params: dict[str, str],
    status: int,
    code: str,
) -> None:
    answer = shared_client.post(
        "/embed", content=content, params=params, headers={"Content-Type": content_type}
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code)
