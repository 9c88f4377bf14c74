"""Time from the cancellation of a job until its decode process has ended, and a next job runs."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.labels.service import Service, start
from tests.support.clips import clip_bytes

_JOBS = 20
_SECONDS = 120
_DECODER = "app.decode.worker"
_POLL_SECONDS = 0.002
_LIMIT_SECONDS = 120.0


def measure(folder: Path) -> dict[str, Any]:
    """Cancel jobs on a film of two minutes in 720p while the only decode process works on it."""
    # one keyframe: each batch of windows is decoded from the start
    film = clip_bytes(seconds_colours=["grey"] * _SECONDS, width=1280, height=720, gop=10_000)
    short = clip_bytes(seconds_colours=["red"])
    service = start(["-m", "app", "serve"], folder, {"KINOLEX_JOB_SLOTS": "1"})
    slots, nexts = [], []
    try:
        service.wait_until_ready()
        service.settle()
        for _ in range(_JOBS):
            job, following = _post(service, film), _post(service, short)
            decoder = _decoder_at_work(service)
            began = time.perf_counter()
            service.ask("DELETE", f"/jobs/{job}")
            _wait_until(partial(_has_ended, decoder))
            slots.append(time.perf_counter() - began)
            _wait_until(partial(_has_begun, service, following))
            nexts.append(time.perf_counter() - began)
            while _status(service, following) == "running":
                time.sleep(_POLL_SECONDS)
            if _status(service, job) != "cancelled":
                raise RuntimeError("the job ended before it was cancelled")
    finally:
        service.stop()
    return {
        "cancelled_slot_free_p50_ms": 1000 * median(slots),
        "cancelled_slot_free_max_ms": 1000 * max(slots),
        "cancelled_next_job_runs_max_ms": 1000 * max(nexts),
    }


def _post(service: Service, video: bytes) -> str:
    status, body = service.ask("POST", "/jobs?granularity=segments", video, "video/mp4")
    if status != 202:
        raise RuntimeError(f"a job was answered with {status}: {body[:300]!r}")
    job: str = json.loads(body)["id"]
    return job


def _status(service: Service, job: str) -> str:
    _, body = service.ask("GET", f"/jobs/{job}")
    status: str = json.loads(body)["status"]
    return status


def _has_begun(service: Service, job: str) -> bool:
    return _status(service, job) != "queued"


def _has_ended(process: psutil.Process) -> bool:
    return not process.is_running()


def _decoder_at_work(service: Service) -> psutil.Process:
    """Wait until a decode process has used some processor time, and return it."""
    used = {each: _seconds(each) for each in _decoders(service)}
    end = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < end:
        for each in _decoders(service):
            if _seconds(each) > used.setdefault(each, _seconds(each)) + 0.1:
                return each
        time.sleep(_POLL_SECONDS)
    raise RuntimeError("the job is not decoded")


def _decoders(service: Service) -> list[psutil.Process]:
    children = psutil.Process(service.process.pid).children()
    return [each for each in children if _DECODER in " ".join(each.cmdline())]


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _LIMIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("nothing happened for two minutes")
        time.sleep(_POLL_SECONDS)
