"""Time to tag a kept film of 65 s again with 400 stored labels, over HTTP.

On a computer that does other work, look at the processor time of the service.
"""

import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from app.store import everyday_actions
from benchmarks.labels.service import start
from tests.support.clips import clip_bytes

_SECONDS = 65
_LABELS = 400
_QUESTIONS = 200
_SETTINGS = {
    # no frame is encoded while questions are measured: any runtime will do
    "KINOLEX_RUNTIME": "eager",
    "KINOLEX_REQUEST_TIMEOUT_SECONDS": "600",
    "KINOLEX_PROGRESS_TIMEOUT_SECONDS": "600",
}
_COLOURS = ("red", "green", "blue", "yellow", "white", "black", "grey")


def measure(folder: Path) -> dict[str, Any]:
    """Keep a film, then ask for its segments again and again."""
    colours = [_COLOURS[second // 5 % len(_COLOURS)] for second in range(_SECONDS)]
    film = clip_bytes(seconds_colours=colours, width=320, height=240)
    service = start(["-m", "app", "serve"], folder, _SETTINGS)
    try:
        service.wait_until_ready()
        service.put(everyday_actions()[:_LABELS], "/label-sets/asked/labels")
        kept = service.classify(film, keep="true", label_set="asked", granularity="segments")
        address = f"/videos/{kept['video']['sha256']}/classify"
        body = json.dumps({"label_set": "asked", "granularity": "segments"}).encode()
        process = psutil.Process(service.process.pid)
        times, before = [], _seconds(process)
        for _ in range(_QUESTIONS):
            began = time.perf_counter()
            status, answer = service.ask("POST", address, body, "application/json")
            times.append(time.perf_counter() - began)
            if status != 200 or json.loads(answer)["segments"] != kept["segments"]:
                raise RuntimeError(f"another answer than to the upload: {answer[:300]!r}")
        used = _seconds(process) - before
    finally:
        service.stop()
    return {
        "retag_p50_ms": 1000 * median(times),
        "retag_max_ms": 1000 * max(times),
        "retag_cpu_ms": 1000 * used / _QUESTIONS,
    }


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
