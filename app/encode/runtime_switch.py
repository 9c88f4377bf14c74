"""Replaces plain torch by the fastest runtime on this computer while requests are answered."""

import asyncio
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from app.settings import Settings, keep_compilations
from model import (
    Measured,
    RuntimeEncoder,
    RuntimeName,
    ShapedEncoder,
    Tagger,
    fastest_on_gpu,
    installed_runtimes,
    make_encoder,
    measured_runtime,
    refused_runtimes,
    start_runtime_trial,
)

_Result = TypeVar("_Result")


async def switch_runtime(
    encoder: RuntimeEncoder, tagger: Tagger, settings: Settings, log: FilteringBoundLogger
) -> None:
    """Switch `encoder` to the runtime of the settings after it is measured, checked and prepared.

    Errors are logged, and torch stays in use. Cancelling kills the measuring process and abandons
    a preparation.
    """
    if settings.runtime == "eager":
        return
    keep_compilations(settings.cache_dir / "inductor")
    try:
        if tagger.device == "cuda":
            fast = await run_in_daemon_thread(
                lambda: fastest_on_gpu(encoder.reference, tagger.widescreen_shape)
            )
            encoder.switch_to(fast)
            log.info("runtime", runtime=fast.runtime.name, precision=fast.runtime.precision)
            return
        for names in _rounds(tagger, settings):
            chosen = await _measure(tagger, settings, names, log)
            if chosen is not None and chosen.runtime != encoder.runtime:
                await _prepare_and_switch(encoder, chosen, tagger, settings, log)
    except Exception:  # a slower runtime must not end the service
        log.exception("runtime_failed")


def _rounds(tagger: Tagger, settings: Settings) -> list[list[RuntimeName]]:
    """Return the runtimes to measure in each round; `compile`, which is slow, in the second."""
    if settings.runtime != "auto":
        return [[settings.runtime]]
    every = installed_runtimes()
    quick: list[RuntimeName] = [name for name in every if name != "compile"]
    if quick == every or measured_runtime(tagger, every, cache=settings.cache_dir):
        return [every]
    return [quick, every]


async def _measure(
    tagger: Tagger, settings: Settings, names: Sequence[RuntimeName], log: FilteringBoundLogger
) -> Measured | None:
    cache = settings.cache_dir
    chosen = measured_runtime(tagger, names, cache=cache)
    if chosen is None:
        log.info("measuring_runtimes", runtimes=list(names))
        errors = await _run_trial(settings, names)
        chosen = measured_runtime(tagger, names, cache=cache)
        if chosen is None:
            log.warning("runtime_failed", detail=errors[-500:])
    for each in refused_runtimes(tagger, names, cache=cache):
        detail = each.fault or f"its embeddings have a cosine of {each.cosine} to those of eager"
        log.info("runtime_refused", runtime=str(each.runtime), detail=detail)
    return chosen


async def _run_trial(settings: Settings, names: Sequence[RuntimeName]) -> str:
    """Run a trial to its end and return its stderr; cancelling kills it."""
    with tempfile.TemporaryFile() as stderr:
        # Not asyncio's subprocesses: uvloop forks, and a forked child waits for OpenBLAS's locks,
        # for ever if another thread is multiplying. Popen uses vfork.
        process = start_runtime_trial(
            settings.checkpoint, names, cache=settings.cache_dir, stderr=stderr
        )
        await wait_or_kill(process)
        stderr.seek(0)
        return stderr.read().decode(errors="replace")


async def wait_or_kill(process: "subprocess.Popen[bytes]") -> None:
    """Wait until a process ends; cancelling kills it."""
    try:
        await run_in_daemon_thread(process.wait)
    finally:
        process.kill()
        process.wait()


async def _prepare_and_switch(
    encoder: RuntimeEncoder,
    chosen: Measured,
    tagger: Tagger,
    settings: Settings,
    log: FilteringBoundLogger,
) -> None:
    fast: ShapedEncoder = make_encoder(
        chosen.runtime,
        encoder.reference,
        threads=len(os.sched_getaffinity(0)),
        cache=settings.cache_dir,
        revision=tagger.revision,
    )
    try:
        await run_in_daemon_thread(lambda: fast.prepare(tagger.widescreen_shape))
    except Exception:  # a compiler may raise anything; the other runtimes are still tried
        detail = f"{chosen.runtime} could not be prepared"
        log.warning("runtime_failed", detail=detail, exc_info=True)
        return
    encoder.switch_to(fast)
    log.info(
        "runtime",
        runtime=chosen.runtime.name,
        precision=chosen.runtime.precision,
        milliseconds=chosen.milliseconds,
        cosine=chosen.cosine,
    )


async def run_in_daemon_thread(work: Callable[[], _Result]) -> _Result:
    """Run blocking work in a thread of its own; cancelling abandons the thread.

    The interpreter does not wait for the thread when it exits, as it does for anyio's and for
    executors' threads: a compilation takes minutes.
    """
    result: Future[_Result] = Future()
    # Without this, cancelling would cancel `result`, and the thread could not set it.
    result.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001  # the caller gets it
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(result)
