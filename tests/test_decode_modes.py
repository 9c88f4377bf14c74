"""The fast mode, the caller's deadline, and help for a video that is alone."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.decode_pool import DecodePool
from app.settings import Settings
from tests.clips import clip_bytes
from tests.conftest import open_client
from tests.pools import descriptor, pool_of, soon, status_of, until

# Keyframes at 0 and 8 s only: what happens between is not seen without decoding it.
SPARSE = clip_bytes(
    seconds_colours=["red"] * 2 + ["blue"] * 6 + ["red"] * 2,
    gop=80,
    codec_options={"x264-params": "scenecut=0"},
)
MP4 = {"Content-Type": "video/mp4"}
TWO = "/classify?labels=red,blue"


def ask(client: TestClient, path: str) -> dict[str, Any]:
    answer = client.post(path, content=SPARSE, headers=MP4)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("granularity", ["video", "segments"])
def test_keyframes_only_is_a_mode_that_says_so(granularity: str, client: TestClient) -> None:
    path = f"{TWO}&granularity={granularity}&window_seconds=2&stride_seconds=2"
    exact = ask(client, path)
    fast = ask(client, f"{path}&decode=keyframes")

    assert exact["tags"][0]["label"] == "blue"
    assert exact["video"]["warnings"] == []
    assert fast["tags"][0]["label"] == "red"
    [warning] = fast["video"]["warnings"]
    assert "keyframes" in warning


def test_a_segments_mean_score_is_that_of_its_windows(client: TestClient) -> None:
    path = f"{TWO}&granularity=segments&window_seconds=4&stride_seconds=2"
    segments = ask(client, path)["segments"]

    [blue] = [tag for s in segments for tag in s["tags"] if tag["label"] == "blue"]
    # windows at the edges of the blue stretch are half red
    assert 0 < blue["mean_score"] < blue["score"]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_a_deadline_must_be_a_time_to_come(seconds: str, client: TestClient) -> None:
    answer = client.post(f"{TWO}&timeout_seconds={seconds}", content=SPARSE, headers=MP4)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/timeout_seconds"


@pytest.mark.parametrize("granularity", ["video", "segments"])
def test_a_caller_may_shorten_the_deadline(granularity: str, client: TestClient) -> None:
    path = f"{TWO}&granularity={granularity}&timeout_seconds=0.000001"
    answer = client.post(path, content=SPARSE, headers=MP4)

    assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")


@pytest.mark.parametrize("granularity", ["video", "segments"])
def test_a_caller_cannot_lengthen_the_deadline(
    granularity: str, make_settings: Callable[..., Settings]
) -> None:
    path = f"{TWO}&granularity={granularity}&timeout_seconds=60"
    with open_client(make_settings(request_timeout_seconds=1e-6)) as client:
        answer = client.post(path, content=SPARSE, headers=MP4)

    assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_threads_help_a_large_video_and_leave_a_small_one_alone() -> None:
    large = clip_bytes(
        seconds_colours=["red"] * 2, width=1280, height=720, codec_options={"preset": "ultrafast"}
    )
    small = clip_bytes(seconds_colours=["red"] * 2)
    async with pool_of(1) as pool:
        assert await _threads_seen(pool, large) > 1
    async with pool_of(1) as pool:
        assert await _threads_seen(pool, small) == 1


async def _threads_seen(pool: DecodePool, clip: bytes) -> int:
    """The most threads that the pool's worker was seen with while it decoded."""
    (pid,) = pool.pids
    most = 0

    def look() -> bool:
        nonlocal most
        most = max(most, int(status_of(pid).split("Threads:")[1].split()[0]))
        return job.done()

    with descriptor(clip) as fd:
        times = [number / 10 for number in range(20)]
        job = asyncio.ensure_future(pool.decode(fd, times, 32, soon(), threads=4))
        await until(look)
        await job
    return most
