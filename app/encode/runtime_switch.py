"""From plain torch to the fastest runtime here, while requests are answered."""

import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
from anyio import to_thread
from structlog.typing import FilteringBoundLogger

from app.settings import Settings, keep_compilations
from model import (
    Measured,
    RuntimeEncoder,
    RuntimeName,
    Tagger,
    cached_choice,
    fastest_on_gpu,
    installed_runtimes,
    make_encoder,
    trial_command,
    usual_clips,
)

_LOOK_AGAIN_SECONDS = 0.05


async def switch_runtime(
    encoder: RuntimeEncoder, tagger: Tagger, settings: Settings, log: FilteringBoundLogger
) -> None:
    """Have `encoder` run as the settings say, once that is measured, found right, and ready.

    Whatever fails is logged, and torch goes on. Cancelling ends the measuring.
    """
    if settings.runtime == "eager":
        return
    keep_compilations(settings.cache_dir / "inductor")
    try:
        if tagger.device == "cuda":
            fast = await to_thread.run_sync(
                fastest_on_gpu, encoder.reference, usual_clips(tagger), abandon_on_cancel=True
            )
            encoder.switch_to(fast)
            log.info("runtime", runtime=fast.runtime.name, precision=fast.runtime.precision)
            return
        for names in _rounds(tagger, settings):
            chosen = await _measured(tagger, settings, names, log)
            if chosen is not None and chosen.runtime != encoder.runtime:
                await _change(encoder, chosen, tagger, settings, log)
    except Exception:  # the service answers as before: a runtime is only a matter of time
        log.exception("runtime_failed")


def _rounds(tagger: Tagger, settings: Settings) -> list[list[RuntimeName]]:
    """What to measure, and then again with more: nobody waits for a compiler to be faster."""
    if settings.runtime != "auto":
        return [[settings.runtime]]
    every = installed_runtimes()
    quick: list[RuntimeName] = [name for name in every if name != "compile"]
    if quick == every or cached_choice(settings.cache_dir, tagger, every):
        return [every]
    return [quick, every]


async def _measured(
    tagger: Tagger, settings: Settings, names: Sequence[RuntimeName], log: FilteringBoundLogger
) -> Measured | None:
    cache = settings.cache_dir
    if chosen := cached_choice(cache, tagger, names):
        return chosen
    log.info("measuring_runtimes", runtimes=list(names))
    complaint = await _run(trial_command(settings.checkpoint, cache.resolve(), names))
    chosen = cached_choice(cache, tagger, names)
    if chosen is None:
        log.warning("runtime_failed", detail=complaint[-500:])
    return chosen


async def _run(command: Sequence[str]) -> str:
    """What a process said on stderr; it is ended when nobody waits any more."""
    with tempfile.TemporaryFile() as said:
        # not the event loop's subprocesses: uvloop forks, and a fork waits for OpenBLAS's locks,
        # for ever when another thread is multiplying; Popen starts processes by vfork
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                await anyio.sleep(_LOOK_AGAIN_SECONDS)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        return said.read().decode(errors="replace")


async def _change(
    encoder: RuntimeEncoder,
    chosen: Measured,
    tagger: Tagger,
    settings: Settings,
    log: FilteringBoundLogger,
) -> None:
    cache: Path = settings.cache_dir
    cores = len(os.sched_getaffinity(0))
    fast = make_encoder(
        chosen.runtime, encoder.reference, threads=cores, cache=cache, revision=tagger.revision
    )
    clips = usual_clips(tagger)
    # a daemon: a compilation that nobody waits for must not hold up the end of the process
    making = threading.Thread(target=fast.prepare, args=(clips,), daemon=True)
    making.start()
    while making.is_alive():
        await anyio.sleep(_LOOK_AGAIN_SECONDS)
    if not fast.is_prepared(clips):
        log.warning("runtime_failed", detail=f"{chosen.runtime} could not be prepared")
        return
    encoder.switch_to(fast)
    log.info(
        "runtime",
        runtime=chosen.runtime.name,
        precision=chosen.runtime.precision,
        milliseconds=chosen.milliseconds,
        cosine=chosen.cosine,
    )
