"""`POST /classify` over HTTP, with a checkpoint whose answers can be computed by hand."""

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from app.upload.intake import RAW_TYPES
from tests.support.clips import COLOURS, clip_bytes, sound_bytes, still_bytes
from tests.support.servers import open_client

RED = clip_bytes(seconds_colours=["red"])
RED_GREEN_BLUE = clip_bytes(seconds_colours=["red"] * 4 + ["green"] * 4 + ["blue"] * 4)
ALL = [("labels", "red"), ("labels", "green"), ("labels", "blue")]


def ask(
    client: TestClient, video: bytes, *options: tuple[str, str], status: int = 200,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The answer to a raw body."""
    headers = headers or {"Content-Type": "video/mp4"}
    answer = client.post("/classify", content=video, params=list(options), headers=headers)
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
    return body


def labels_of(answer: dict[str, Any]) -> list[str]:
    return [tag["label"] for tag in answer["tags"]]


def test_the_answer_has_the_shape_that_the_api_promises(shared_client: TestClient) -> None:
    answer = ask(shared_client, RED, *ALL)

    video = answer.pop("video")
    assert video["duration"] == pytest.approx(1.0, abs=0.05)
    assert video["fps"] == pytest.approx(10.0)
    assert (video["width"], video["height"], video["rotation"]) == (64, 48, 0)
    assert video["codec"] == "h264"
    assert video["sha256"] == hashlib.sha256(RED).hexdigest()
    assert video["warnings"] == []
    timings = answer.pop("timings")
    assert {"intake", "queue", "decode", "encode", "search"} <= timings.keys()
    assert all(seconds >= 0 for seconds in timings.values())
    tags = answer.pop("tags")
    assert [tag["rank"] for tag in tags] == [1, 2, 3]
    assert tags[0].keys() == {
        "label", "score", "likelihood", "similarity", "rank", "prompt", "duration_ratio",
    }  # fmt: skip
    assert [tag["likelihood"] for tag in tags] == ["likely", "unsure", "unsure"]
    assert answer.pop("request_id")
    times = answer.pop("timestamps")
    assert (times["first"], *times["seconds"][1:-1], times["last"]) == tuple(times["seconds"])
    assert answer == {
        "segments": [],
        "windows": None,
        "unknown": {
            "score": answer["unknown"]["score"],
            "is_unknown": False,
            "duration_ratio": None,
        },
        "model": {"id": "colours", "revision": "0"},
        "label_set": {"name": None, "revision": 0},
        "kept": False,
    }


def test_the_score_is_the_one_computed_by_hand(shared_client: TestClient) -> None:
    red = np.array(COLOURS["red"], float)
    cosine = red[0] / np.linalg.norm(red)

    tag = ask(shared_client, RED, *ALL)["tags"][0]

    assert tag["label"] == "red"
    # limited-range 8-bit YUV moves a colour by a step or two
    assert tag["similarity"] == pytest.approx(cosine, abs=0.01)
    assert tag["score"] == pytest.approx(1 / (1 + math.exp(5 - 10 * tag["similarity"])))


def test_a_form_and_a_raw_body_get_the_same_answer(shared_client: TestClient) -> None:
    raw = ask(shared_client, RED, *ALL, ("top_k", "2"))
    form = shared_client.post(
        "/classify",
        data={"labels": ["red", "green", "blue"], "top_k": "2"},
        files={"file": ("any name.mp4", RED, "video/mp4")},
    ).json()

    for answer in (raw, form):
        del answer["request_id"], answer["timings"]
    assert form == raw


def test_fields_after_the_file_count_too(shared_client: TestClient) -> None:
    parts: list[tuple[str, tuple[str | None, bytes | str]]] = [
        ("file", ("a.mp4", RED)),
        ("labels", (None, "green")),
        ("labels", (None, "blue")),
    ]

    answer = shared_client.post("/classify", files=parts)

    assert set(labels_of(answer.json())) == {"green", "blue"}


def test_a_label_put_now_is_found_by_the_next_request(client: TestClient) -> None:
    before = ask(client, RED)
    written = client.put("/labels", json={"labels": ["a very red thing"]})
    answer = ask(client, RED)

    assert written.status_code == 200
    assert answer["tags"][0]["label"] == "a very red thing"
    assert answer["label_set"]["name"] == "default"
    assert answer["label_set"]["revision"] == before["label_set"]["revision"] + 1
    assert answer["label_set"]["revision"] == written.json()["label_set"]["revision"]


def test_a_named_set_is_searched_by_its_name(client: TestClient) -> None:
    client.put("/label-sets/cars/labels", json={"labels": ["red", "blue"]})

    answer = ask(client, RED, ("label_set", "cars"))

    assert labels_of(answer) == ["red", "blue"]
    assert answer["label_set"] == {"name": "cars", "revision": 1}
    assert ask(client, RED, ("label_set", "bikes"), status=404)["code"] == "label_set_not_found"


def test_a_labels_own_threshold_makes_room_for_the_next(client: TestClient) -> None:
    strict = {"name": "red", "threshold": 1.0}
    client.put("/label-sets/strict/labels", json={"labels": [strict, "green", "blue"]})

    answer = ask(client, RED, ("label_set", "strict"), ("top_k", "1"))

    assert [(tag["label"], tag["rank"]) for tag in answer["tags"]] in (
        [("green", 1)],
        [("blue", 1)],
    )


def test_top_k_and_min_score_cut_the_list(shared_client: TestClient) -> None:
    assert labels_of(ask(shared_client, RED, *ALL, ("top_k", "1"))) == ["red"]
    assert len(ask(shared_client, RED, *ALL, ("top_k", "999999"))["tags"]) == 3
    assert labels_of(ask(shared_client, RED, *ALL, ("min_score", "0.5"))) == ["red"]
    assert len(ask(shared_client, RED)["tags"]) == 5


@pytest.mark.parametrize(
    ("option", "pointer"),
    [
        (("top_k", "0"), "#/top_k"),
        (("top_k", "many"), "#/top_k"),
        (("top_k", "99999999999999999999"), "#/top_k"),
        (("min_score", "1.1"), "#/min_score"),
        (("min_score", "nan"), "#/min_score"),
        (("granularity", "frames"), "#/granularity"),
        (("window_seconds", "0"), "#/window_seconds"),
        (("window_seconds", "inf"), "#/window_seconds"),
        (("stride_seconds", "5"), "#/stride_seconds"),
        (("topk", "3"), "#/topk"),
        (("label_set", "x" * 300), "#/label_set"),
    ],
)
def test_an_option_that_is_wrong_is_pointed_at(
    option: tuple[str, str], pointer: str, shared_client: TestClient
) -> None:
    problem = ask(shared_client, RED, option, status=422)

    assert problem["code"] == "invalid_parameter"
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert {fault["in"] for fault in problem["errors"]} == {"query"}
    form = shared_client.post("/classify", data=dict([option]), files={"file": RED}).json()
    assert (form["code"], form["errors"][0]["pointer"]) == ("invalid_parameter", pointer)
    assert form["errors"][0]["in"] == "form"


@pytest.mark.parametrize(
    "options",
    [
        [("top_k", "1"), ("top_k", "2")],
        [("labels", "red"), ("label_set", "default")],
        [("labels", f"label {number}") for number in range(1001)],
    ],
    ids=["twice", "labels and set", "too many labels"],
)
def test_options_that_contradict_each_other_are_refused(
    options: list[tuple[str, str]], shared_client: TestClient
) -> None:
    assert ask(shared_client, RED, *options, status=422)["code"] == "invalid_parameter"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty_file"),
        (b"just text, no video " * 50, 415, "not_a_video"),
        (sound_bytes(), 422, "no_video_stream"),
        (still_bytes("png"), 415, "still_picture"),
        (RED[: len(RED) // 3], None, None),
        (bytes(100_000), 415, "not_a_video"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", 415, "not_a_video"),
    ],
    ids=["empty", "text", "sound", "still", "truncated", "zeros", "playlist"],
)
def test_a_file_that_is_no_video_is_refused_with_the_reason(
    content: bytes, status: int | None, code: str | None, shared_client: TestClient
) -> None:
    answers = (
        shared_client.post("/classify", content=content, headers={"Content-Type": "video/mp4"}),
        shared_client.post("/classify", files={"file": content}),
    )
    for answer in answers:
        assert 400 <= answer.status_code < 500, answer.text
        if code:
            assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ask(shared_client, RED, *ALL)["tags"][0]["label"] == "red"


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({}, RED, 415, "unsupported_media_type"),
        ({"Content-Type": "application/json"}, b"{}", 415, "unsupported_media_type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, RED, 415, "unsupported_media_type"),
        ({"Content-Type": "video/mp4", "Content-Encoding": "gzip"}, RED, 415,
         "unsupported_media_type"),
        ({"Content-Type": "multipart/form-data"}, RED, 400, "malformed_request"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, RED, 400, "malformed_request"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"", 400, "malformed_request"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 400, "missing_file"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_refused_with_the_reason(
    headers: dict[str, str], content: bytes, status: int, code: str, shared_client: TestClient
) -> None:
    answer = shared_client.post("/classify", content=content, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_every_octet_stream_and_video_type_is_taken_as_raw(shared_client: TestClient) -> None:
    assert {"binary/octet-stream", "application/x-matroska"} < RAW_TYPES
    for kind in (*RAW_TYPES, "video/quicktime", "VIDEO/X-Matroska; a=b", "image/heic-sequence"):
        ask(shared_client, RED, ("labels", "red"), headers={"Content-Type": kind})


def test_a_video_over_the_limit_is_refused(make_settings: Callable[..., Settings]) -> None:
    with open_client(make_settings(max_upload_bytes=len(RED) - 1)) as client:
        assert ask(client, RED, status=413)["code"] == "upload_too_large"
        form = client.post("/classify", files={"file": RED})
        assert (form.status_code, form.json()["code"]) == (413, "upload_too_large")
    with open_client(make_settings(max_upload_bytes=len(RED))) as client:
        assert client.post("/classify", data={"labels": "x" * 50}, files={"file": RED}).is_success


def test_limits_on_the_video_itself_are_settings(make_settings: Callable[..., Settings]) -> None:
    with open_client(make_settings(max_duration_seconds=5.0)) as client:
        assert ask(client, RED_GREEN_BLUE, status=422)["code"] == "too_long"
        assert ask(client, RED, *ALL)["tags"]
    with open_client(make_settings(max_pixels=64 * 48 - 1)) as client:
        refused = ask(client, RED, status=422)
        assert refused["code"] == "too_large_picture"
        assert "KINOLEX_MAX_PIXELS" in refused["detail"]


def test_an_upload_that_is_too_large_for_memory_goes_through_the_upload_folder(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    with open_client(make_settings(upload_memory_bytes=0, upload_dir=tmp_path)) as client:
        assert ask(client, RED, *ALL)["tags"][0]["label"] == "red"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_time_per_stage_is_in_a_header(shared_client: TestClient) -> None:
    headers = {"Content-Type": "video/mp4"}
    answer = shared_client.post("/classify?labels=red", content=RED, headers=headers)

    stages = [stage.split(";")[0] for stage in answer.headers["server-timing"].split(", ")]
    assert stages == ["intake", "labels", "queue", "decode", "encode", "search"]


def test_a_deadline_that_has_passed_is_a_503(make_settings: Callable[..., Settings]) -> None:
    with open_client(make_settings(request_timeout_seconds=1e-6)) as client:
        answer = client.post(
            "/classify?labels=red", content=RED, headers={"Content-Type": "video/mp4"}
        )
    assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.fixture
def clients(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> Iterator[tuple[TestClient, TestClient]]:
    first = make_settings(data_dir=tmp_path / "one", top_k=1)
    second = make_settings(data_dir=tmp_path / "two", top_k=3, max_upload_bytes=10)
    with open_client(first) as one, open_client(second) as two:
        yield one, two


def test_two_apps_live_in_one_process(clients: tuple[TestClient, TestClient]) -> None:
    one, two = clients
    one.put("/labels", json={"labels": ["only in the first"]})

    assert len(ask(one, RED, *ALL)["tags"]) == 1
    assert ask(two, RED, status=413)["code"] == "upload_too_large"
    assert one.get("/labels/only in the first").status_code == 200
    assert two.get("/labels/only in the first").status_code == 404
