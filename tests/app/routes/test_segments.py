"""`POST /classify` with `granularity=segments`, with scores that can be computed by hand."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.servers import open_client

RED_GREEN_BLUE = clip_bytes(seconds_colours=["red"] * 4 + ["green"] * 4 + ["blue"] * 4)
ALL = [("labels", "red"), ("labels", "green"), ("labels", "blue")]


def ask(client: TestClient, video: bytes, *options: tuple[str, str]) -> dict[str, Any]:
    """The answer to a raw body."""
    answer = client.post(
        "/classify", content=video, params=list(options), headers={"Content-Type": "video/mp4"}
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_segments_say_when(shared_client: TestClient) -> None:
    answer = ask(
        shared_client, RED_GREEN_BLUE, *ALL, ("granularity", "segments"), ("window_seconds", "1"),
        ("stride_seconds", "1"),
    )  # fmt: skip

    found = [
        (segment["start"], segment["end"], [tag["label"] for tag in segment["tags"]])
        for segment in answer["segments"]
    ]
    assert found == [
        (pytest.approx(start, abs=0.15), pytest.approx(start + 4, abs=0.15), [label])
        for start, label in [(0, "red"), (4, "green"), (8, "blue")]
    ]
    assert answer["windows"] == {"count": 12, "window_seconds": 1.0, "stride_seconds": 1.0}
    ratios = {tag["label"]: tag["duration_ratio"] for tag in answer["tags"]}
    assert ratios == dict.fromkeys(["red", "green", "blue"], pytest.approx(1 / 3, abs=0.02))


def test_hysteresis_continues_a_segment_through_a_weak_part_until_it_is_turned_off(
    shared_client: TestClient,
) -> None:
    # the score of `red` in the middle is 0.2: under 30 % of that of red, and over half of that
    film = clip_bytes(seconds_colours=["red"] * 2 + [(100, 180, 180)] * 2 + ["red"] * 2)
    windows = [("granularity", "segments"), ("window_seconds", "1"), ("stride_seconds", "1")]

    def spans(*options: tuple[str, str]) -> list[tuple[int, int]]:
        segments = ask(shared_client, film, *windows, ("labels", "red"), *options)["segments"]
        return [(round(segment["start"]), round(segment["end"])) for segment in segments]

    assert spans() == spans(("hysteresis", "true")) == [(0, 6)]
    assert spans(("hysteresis", "false")) == [(0, 2), (4, 6)]
    assert spans(("min_score", "0.25")) == [(0, 2), (4, 6)]


def test_too_many_windows_widen_the_stride_and_say_so(
    make_settings: Callable[..., Settings],
) -> None:
    with open_client(make_settings(max_windows=4)) as client:
        answer = ask(
            client, RED_GREEN_BLUE, *ALL, ("granularity", "segments"), ("window_seconds", "0.5"),
            ("stride_seconds", "0.5"),
        )  # fmt: skip

    assert answer["windows"]["count"] == 4
    assert answer["windows"]["stride_seconds"] == pytest.approx(11.5 / 3, abs=0.1)
    assert any("stride" in warning for warning in answer["video"]["warnings"])
