"""Kept videos over HTTP: asked again without the file, listed, deleted."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.fakes import colour_tagger
from tests.support.servers import open_client

FILM = clip_bytes(seconds_colours=["red"] * 4 + ["green"] * 4 + ["blue"] * 4)
SHA = hashlib.sha256(FILM).hexdigest()
VIDEO = {"Content-Type": "video/mp4"}
COLOURS = {"labels": ["red", "green", "blue"]}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a service that keeps one film."""
    folder = tmp_path_factory.mktemp("kept")
    settings = Settings(data_dir=folder, decode_workers=1, log_level="error")
    with open_client(settings) as client:
        upload(client, keep=True, metadata='{"camera": "north"}')
        yield client


def upload(client: TestClient, **options: Any) -> dict[str, Any]:
    return answer_of(client.post("/classify", content=FILM, params=options, headers=VIDEO))


def ask(client: TestClient, **options: Any) -> dict[str, Any]:
    return answer_of(client.post(f"/videos/{SHA}/classify", json=options))


def answer_of(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    del answer["request_id"], answer["timings"], answer["kept"]
    return answer


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"labels": ["red", "blue"], "top_k": 1},
        {"granularity": "segments", **COLOURS},
        {"granularity": "segments", "min_score": 0.2, "hysteresis": False, **COLOURS},
        {"granularity": "segments", "window_seconds": 4.0, "stride_seconds": 2.0},
    ],
)
def test_a_kept_video_gets_the_answer_of_an_upload_to_the_last_digit(
    options: dict[str, Any], kept: TestClient
) -> None:
    assert ask(kept, **options) == upload(kept, **options)


def test_the_first_answer_is_the_one_that_is_given_later(kept: TestClient) -> None:
    asked = {"granularity": "segments", **COLOURS}

    first = upload(kept, keep=True, metadata='{"camera": "north"}', **asked)

    assert ask(kept, **asked) == first
    assert ask(kept, labels=["red"])["tags"]


def test_a_label_put_later_is_found_in_a_kept_video(kept: TestClient) -> None:
    kept.put("/label-sets/few/labels", json={"labels": ["green"]})
    before = ask(kept, label_set="few", granularity="segments")
    kept.put("/label-sets/few/labels", json={"labels": ["blue"]})

    after = ask(kept, label_set="few", granularity="segments")

    assert [tag["label"] for tag in before["tags"]] == ["green"]
    assert {tag["label"] for tag in after["tags"]} == {"green", "blue"}


@pytest.mark.parametrize(("window", "stride"), [(4.0, 1.0), (8.0, 4.0), (4.0, 4.0)])
def test_other_windows_are_means_of_what_was_kept(
    window: float, stride: float, kept: TestClient
) -> None:
    options = {"granularity": "segments", "window_seconds": window, "stride_seconds": stride}

    asked, uploaded = ask(kept, **options, **COLOURS), upload(kept, **options, **COLOURS)

    assert asked["windows"] == uploaded["windows"]
    assert asked["video"] == uploaded["video"]
    found, expected = (
        [(each["start"], each["end"], each["tags"][0]["label"]) for each in answer["segments"]]
        for answer in (asked, uploaded)
    )
    assert found == expected


def test_windows_of_fewer_moments_than_an_upload_samples_have_a_warning(kept: TestClient) -> None:
    answer = ask(kept, granularity="segments", window_seconds=2.0, stride_seconds=2.0, **COLOURS)

    labels = [segment["tags"][0]["label"] for segment in answer["segments"]]
    assert labels == ["red", "green", "blue"]
    assert "some have 2 moments, those of an upload 4" in answer["video"]["warnings"][-1]


def test_windows_without_a_kept_moment_or_another_decoding_are_refused(kept: TestClient) -> None:
    for options in (
        {"granularity": "segments", "window_seconds": 0.5, "stride_seconds": 0.5},
        {"decode": "exact"},
    ):
        refused = kept.post(f"/videos/{SHA}/classify", json=options)
        assert refused.status_code == 409
        assert refused.json()["code"] == "analysis_differs"


def test_options_that_do_not_exist_are_refused(kept: TestClient) -> None:
    refused = kept.post(f"/videos/{SHA}/classify", json={"keep": True})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "#/keep"


def test_a_question_without_a_body_has_the_defaults(kept: TestClient) -> None:
    assert answer_of(kept.post(f"/videos/{SHA}/classify")) == upload(kept)


def test_the_list_says_what_is_kept(kept: TestClient) -> None:
    [item] = kept.get("/videos").json()["items"]

    assert item == kept.get(f"/videos/{SHA}").json()
    assert item["sha256"] == SHA
    assert item["metadata"] == {"camera": "north"}
    assert item["windows"] == {"count": 5, "window_seconds": 4.0, "stride_seconds": 2.0}
    assert item["in_use"]
    assert item["duration"] == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"metadata": '{"camera": "north"}'}, 1),
        ({"metadata": '{"camera": "south"}'}, 0),
        ({"min_duration": "20"}, 0),
        ({"kept_before": "2020-01-01T00:00:00Z"}, 0),
        ({"kept_after": "2020-01-01T00:00:00+02:00"}, 1),
        ({"kept_before": "9999-12-31T23:59:59Z"}, 1),
    ],
)
def test_the_list_is_filtered(query: dict[str, str], count: int, kept: TestClient) -> None:
    assert len(kept.get("/videos", params=query).json()["items"]) == count


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"metadata": "north"}, "#/metadata"),
        ({"metadata": '{"a b": "c"}'}, "#/metadata"),
        ({"kept_after": "yesterday"}, "#/kept_after"),
        ({"kept_after": "0001-01-01T00:00:00+14:00"}, "#/kept_after"),
        ({"kept_before": "9999-12-31T23:59:59-05:00"}, "#/kept_before"),
        ({"label_set": "a\0b"}, "#/label_set"),
        ({"colour": "red"}, "#/colour"),
        ({"page_token": "abc"}, "#/page_token"),
    ],
)
def test_a_wrong_filter_is_refused(query: dict[str, str], pointer: str, kept: TestClient) -> None:
    refused = kept.get("/videos", params=query)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": '{"camera": "north"}'},
        {"keep": "true", "metadata": "[]"},
        {"keep": "true", "metadata": '{"camera": 1}'},
        {"keep": "true", "metadata": '{"camera\\u0000": "x"}'},
    ],
)
def test_wrong_metadata_is_refused(options: dict[str, str], kept: TestClient) -> None:
    refused = kept.post("/classify", content=FILM, params=options, headers=VIDEO)

    assert refused.status_code == 422


def test_a_video_that_is_not_kept_is_not_found(kept: TestClient) -> None:
    other = "0" * 64
    for answer in (
        kept.get(f"/videos/{other}"),
        kept.delete(f"/videos/{other}"),
        kept.post(f"/videos/{other}/classify", json={}),
    ):
        assert answer.status_code == 404
        assert answer.json()["code"] == "video_not_found"


def test_the_list_has_pages(client: TestClient) -> None:
    clips = [clip_bytes(seconds_colours=[colour]) for colour in ("red", "green", "blue")]
    for clip in clips:
        client.post("/classify", content=clip, params={"keep": "true"}, headers=VIDEO)

    first = client.get("/videos", params={"page_size": 2}).json()
    second = client.get(
        "/videos", params={"page_size": 2, "page_token": first["next_page_token"]}
    ).json()

    listed = [item["sha256"] for item in first["items"] + second["items"]]
    assert listed == [hashlib.sha256(clip).hexdigest() for clip in reversed(clips)]
    assert second["next_page_token"] == ""


def test_an_analysis_without_chunks_answers_its_own_windows(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings()
    with open_client(settings) as client:
        upload(client, keep=True)
        first = ask(client, granularity="segments")
    with closing(sqlite3.connect(settings.data_dir / "labels.sqlite")) as database, database:
        database.execute("DELETE FROM analysis_chunks")
    with open_client(settings) as client:
        again = ask(client, granularity="segments")
        body = {"granularity": "segments", "stride_seconds": 1.0}
        refused = client.post(f"/videos/{SHA}/classify", json=body)

    assert again == first
    assert refused.status_code == 409
    assert "without chunks" in refused.json()["detail"]


def test_an_analysis_of_another_checkpoint_is_listed_and_not_mixed(
    make_settings: Callable[..., Settings],
) -> None:
    with open_client(make_settings()) as client:
        upload(client, keep=True)
    newer = replace(colour_tagger(), revision="1")
    with open_client(make_settings(), tagger=newer) as client:
        [item] = client.get("/videos").json()["items"]
        refused = client.post(f"/videos/{SHA}/classify", json={})
        upload(client, keep=True)
        both = client.get("/videos").json()["items"]
        answered = ask(client)
        assert client.delete(f"/videos/{SHA}").json() == {"removed": 2}
        assert client.get("/videos").json()["items"] == []

    assert (item["in_use"], item["model"]["revision"]) == (False, "0")
    assert (refused.status_code, refused.json()["code"]) == (409, "analysis_outdated")
    assert [each["in_use"] for each in both] == [True, False]
    assert answered["model"]["revision"] == "1"
