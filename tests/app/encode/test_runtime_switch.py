"""Work in the background while requests are answered: waiting for it, failing, abandoning it."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
import structlog
from structlog.testing import capture_logs

from app.encode.runtime_switch import run_in_daemon_thread, switch_runtime, wait_or_kill
from app.settings import Settings
from model.encoder.encoder import Runtime
from model.encoder.runtime import RuntimeEncoder
from model.encoder.runtime_measurement import Measured
from model.encoder.torch_encoder import TorchEncoder
from model.runtime_trial import write_result
from tests.support.fakes import colour_tagger
from tests.support.networks import LITE, lively_network

SLEEPING = [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]


def test_work_in_a_daemon_thread_returns_its_result_or_raises_its_error() -> None:
    def fail() -> None:
        raise ValueError("no compiler")

    assert asyncio.run(run_in_daemon_thread(lambda: threading.current_thread().daemon))
    with pytest.raises(ValueError, match="no compiler"):
        asyncio.run(run_in_daemon_thread(fail))


def test_abandoned_work_holds_nothing_up_and_its_result_is_dropped() -> None:
    may_end, has_started = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> str:
        threads.append(threading.current_thread())
        has_started.set()
        may_end.wait()
        return "too late"

    async def abandon() -> None:
        task = asyncio.create_task(run_in_daemon_thread(work))
        await asyncio.to_thread(has_started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(abandon())
    may_end.set()
    threads[0].join()


def test_cancelling_the_wait_kills_the_process() -> None:
    process = subprocess.Popen(SLEEPING)

    async def cancel() -> None:
        task = asyncio.create_task(wait_or_kill(process))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert process.returncode == -signal.SIGKILL


def test_a_process_that_ends_by_itself_is_not_killed() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"])

    asyncio.run(wait_or_kill(process))

    assert process.returncode == 3


def test_a_runtime_that_cannot_run_the_model_is_logged_and_torch_stays(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # the switch sets it
    tagger = colour_tagger()
    reference = Measured(Runtime("eager", "float32"), 20.0, 1.0)
    failed = Measured(Runtime("openvino", "float32"), fault="ValueError: no graph of it")
    settings = make_settings(runtime="openvino")
    settings.cache_dir.mkdir(parents=True)
    write_result(tagger, ["openvino"], [reference, failed], cache=settings.cache_dir)
    encoder = RuntimeEncoder(TorchEncoder(lively_network(LITE), LITE.dim))

    with capture_logs() as logs:
        asyncio.run(switch_runtime(encoder, tagger, settings, structlog.get_logger()))

    assert [(each["event"], each["runtime"], each["detail"]) for each in logs] == [
        ("runtime_refused", "openvino float32", "ValueError: no graph of it")
    ]
    assert encoder.runtime == Runtime("eager", "float32")
