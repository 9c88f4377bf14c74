"""More than the service can do, for a few seconds; `make soak` does it for minutes."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from app.main import create_app
from app.settings import Settings
from benchmarks.soak import Footprint, overload, summary
from tests.clips import clip_bytes
from tests.conftest import running_server
from tests.fakes import ColourEncoder, colour_tagger

VIDEO = clip_bytes(seconds_colours=["red"])
TIMEOUT_SECONDS = 4.0


class SlowEncoder(ColourEncoder):
    """Takes a tenth of a second for each video, without any work."""

    def encode(self, pixels: torch.Tensor) -> Any:
        time.sleep(0.1 * len(pixels))
        return super().encode(pixels)


def footprint(uploads: Path) -> Footprint:
    """What this process and its children hold; others may use shared memory at the same time."""
    return replace(Footprint.of(os.getpid(), uploads), shared_memory=0)


def test_overload_is_refused_quickly_and_leaves_nothing_behind(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    settings = make_settings(
        request_timeout_seconds=TIMEOUT_SECONDS,
        queue_size=4,
        upload_memory_bytes=0,
        upload_dir=uploads,
    )
    app = create_app(settings, tagger=colour_tagger(encoder=SlowEncoder()))
    with running_server(app) as address:
        port = urlsplit(address).port
        assert port
        asyncio.run(overload(port, VIDEO, "/classify?labels=red", per_second=5, seconds=1))
        before = footprint(uploads)
        # ten in a second are possible at most for each processor
        outcomes = asyncio.run(
            overload(
                port,
                VIDEO,
                "/classify?labels=red",
                per_second=40 * len(os.sched_getaffinity(0)),
                seconds=3,
            )
        )
        told = summary(outcomes, TIMEOUT_SECONDS)
        patience = time.monotonic() + 20
        while (after := footprint(uploads)) != before:
            assert time.monotonic() < patience, (before, after)
            threading.Event().wait(0.05)

    assert told["accepted"] > 0
    assert told["refused"] > told["accepted"]
    assert told["accepted_late"] == told["missed_deadline"] == 0
    assert set(told["others"]) <= {"hung up"}
    assert 0 not in told["retry_after_s"]
    # `make soak` holds it to 50 ms; other tests may keep this computer busy
    assert told["refused_p50_ms"] < 500
