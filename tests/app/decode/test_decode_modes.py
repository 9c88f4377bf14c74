"""The fast mode, the caller's deadline, and help for a video that is alone."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.decode.decode_pool import DecodePool
from app.settings import Settings
from model import SamplingConfig
from tests.support.clips import clip_bytes
from tests.support.fakes import colour_tagger
from tests.support.pools import child_processes, descriptor, pool_of, status_of, until
from tests.support.servers import open_client

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
def test_keyframes_only_is_a_mode_that_says_so(granularity: str, shared_client: TestClient) -> None:
    path = f"{TWO}&granularity={granularity}&window_seconds=2&stride_seconds=2"
    exact = ask(shared_client, path)
    fast = ask(shared_client, f"{path}&decode=keyframes")

    assert exact["tags"][0]["label"] == "blue"
    assert exact["video"]["warnings"] == []
    assert fast["tags"][0]["label"] == "red"
    [warning] = fast["video"]["warnings"]
    assert "keyframes" in warning


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("leeway", "expected"), [(0.0, [2.5, 7.5]), (0.25, [1.8, 8.0])])
async def test_leeway_takes_cheaper_frames_of_long_parts(
    leeway: float, expected: list[float]
) -> None:
    sampling = SamplingConfig(1, 2, "spread", leeway)
    with descriptor(SPARSE) as fd:
        async with pool_of(1) as pool:
            _, batch = await pool.sample(fd, sampling, 32)
    assert batch.timestamps_seconds.tolist() == pytest.approx(expected)


def test_the_checkpoints_leeway_is_used_unless_exact_frames_are_asked_for(
    make_settings: Callable[..., Settings],
) -> None:
    # blue at the parts' middles (2.5 and 7.5 s), red at what is cheaper (1.9 and 8 s)
    loose = replace(colour_tagger(), sampling=SamplingConfig(1, 2, "spread", 0.25))
    with open_client(make_settings(), tagger=loose) as client:
        best = {
            mode: ask(client, f"{TWO}{mode}")["tags"][0]["label"]
            for mode in ("", "&decode=auto", "&decode=exact")
        }

    assert best == {"": "red", "&decode=auto": "red", "&decode=exact": "blue"}


def test_a_segments_mean_score_is_that_of_its_windows(shared_client: TestClient) -> None:
    path = f"{TWO}&granularity=segments&window_seconds=4&stride_seconds=2"
    segments = ask(shared_client, path)["segments"]

    [blue] = [tag for s in segments for tag in s["tags"] if tag["label"] == "blue"]
    # windows at the edges of the blue stretch are half red
    assert 0 < blue["mean_score"] < blue["score"]


@pytest.mark.parametrize("seconds", ["0", "-1", "5e-324", "nan", "soon"])
def test_a_deadline_must_be_a_time_to_come(seconds: str, shared_client: TestClient) -> None:
    answer = shared_client.post(f"{TWO}&timeout_seconds={seconds}", content=SPARSE, headers=MP4)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/timeout_seconds"


@pytest.mark.parametrize("granularity", ["video", "segments"])
def test_a_caller_cannot_lengthen_the_deadline(
    granularity: str, make_settings: Callable[..., Settings]
) -> None:
    path = f"{TWO}&granularity={granularity}&timeout_seconds=60"
    with open_client(make_settings(request_timeout_seconds=1e-6)) as client:
        answer = client.post(path, content=SPARSE, headers=MP4)

    assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")


@pytest.mark.parametrize("granularity", ["video", "segments"])
def test_a_deadline_while_a_video_is_decoded_is_a_503_and_costs_no_worker(
    granularity: str, make_settings: Callable[..., Settings]
) -> None:
    path = f"{TWO}&granularity={granularity}"
    others = child_processes("app.decode.worker")
    with open_client(make_settings(decode_workers=1)) as client:
        (pid,) = child_processes("app.decode.worker") - others
        os.kill(pid, signal.SIGSTOP)
        outcomes: list[tuple[int, str | None]] = []
        # on a busy computer the first deadlines may pass before the job begins
        while pid in child_processes("app.decode.worker"):
            seconds = 0.5 * 2 ** len(outcomes)
            answer = client.post(f"{path}&timeout_seconds={seconds}", content=SPARSE, headers=MP4)
            outcomes.append((answer.status_code, answer.json().get("code")))
        assert outcomes[0] == (503, "deadline_exceeded")
        # the worker was killed, and may still be listed when its successor has answered
        assert set(outcomes) <= {(503, "deadline_exceeded"), (200, None)}

        assert ask(client, path)["tags"]
        (other,) = child_processes("app.decode.worker") - others
    assert other != pid


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_threads_help_a_large_video_and_leave_a_small_one_alone() -> None:
    large = clip_bytes(
        seconds_colours=["red"] * 2, width=1280, height=720, codec_options={"preset": "ultrafast"}
    )
    small = clip_bytes(seconds_colours=["red"] * 2)
    # the memory that a small file may cost is enough for one thread
    async with pool_of(1, cost_factor=4) as pool:
        # a look can miss the threads of a short job; seeing them once is enough
        seen = [await _threads_seen(pool, large)]
        while max(seen) == 1 and len(seen) < 30:
            seen.append(await _threads_seen(pool, large))
        assert max(seen) > 1
    async with pool_of(1, cost_factor=4) as pool:
        assert await _threads_seen(pool, small) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_decode_threads_do_not_wear_a_worker_out() -> None:
    large = clip_bytes(
        seconds_colours=["red"] * 2, width=1280, height=720, codec_options={"preset": "ultrafast"}
    )
    async with pool_of(1, cost_factor=4) as pool:
        before = pool.pids
        for _ in range(5):
            await _threads_seen(pool, large)

        assert pool.pids == before


def _threads_of(pool: DecodePool) -> int:
    """Number of threads of the pool's worker; 0 while a worn-out one is replaced."""
    lines = "".join(status_of(pid) for pid in pool.pids).splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Threads:"))


async def _threads_seen(pool: DecodePool, clip: bytes) -> int:
    """Maximum number of threads that the pool's worker had while it decoded."""
    await until(lambda: _threads_of(pool))
    max_threads = 0

    def look() -> bool:
        nonlocal max_threads
        max_threads = max(max_threads, _threads_of(pool))
        return job.done()

    with descriptor(clip) as fd:
        times = [number / 10 for number in range(20)]
        job = asyncio.ensure_future(pool.decode(fd, times, 32, threads=4))
        await until(look)
        await job
    return max_threads
