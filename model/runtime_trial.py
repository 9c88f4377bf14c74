"""Measure the encoder's runtimes in a separate process and cache the result.

    python -m model.runtime_trial CHECKPOINT CACHE RUNTIME [RUNTIME ...]

The process runs at the lowest priority. Within the service, compiling would block the threads that
answer requests for a minute and leave memory allocated. The result is a JSON file in the cache
folder; its name is a hash of the processor, the versions of the runtimes and the checkpoint.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, cast, get_args

import torch
from filelock import FileLock

from model.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from model.encoder.encoder import Runtime, RuntimeName
from model.encoder.runtime import make_encoder
from model.encoder.runtime_measurement import Measured, fastest, measure_runtimes
from model.encoder.torch_encoder import TorchEncoder
from model.tagger import Tagger

_PACKAGES = ("torch", "openvino", "transformers", "sentence-transformers")
# Increase it when the format of the cached file or the method of measuring changes.
_FORMAT = 2


def measured_runtime(
    tagger: Tagger, names: Sequence[RuntimeName], *, cache: Path
) -> Measured | None:
    """Return the fastest accurate runtime of `names` that an earlier trial found on this computer.

    Returns None where no trial has measured exactly these runtimes for the tagger's checkpoint:
    call `start_runtime_trial` first. `Measured.is_right` says which runtimes are accurate.
    """
    try:
        return _measured(_document(tagger, names, cache)["chosen"])
    except (OSError, ValueError, TypeError, KeyError):
        # The file is missing or damaged: another trial replaces it.
        return None


def refused_runtimes(
    tagger: Tagger, names: Sequence[RuntimeName], *, cache: Path
) -> list[Measured]:
    """Return the runtimes that failed in an earlier trial or were not accurate (`is_right`)."""
    try:
        found = [_measured(each) for each in _document(tagger, names, cache)["measured"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    return [each for each in found if not each.is_right]


def _document(tagger: Tagger, names: Sequence[RuntimeName], cache: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_cached_file(cache, tagger, names).read_bytes())
    return document


def _measured(stored: dict[str, Any]) -> Measured:
    return Measured(**{**stored, "runtime": Runtime(**stored["runtime"])})


def start_runtime_trial(
    checkpoint: str, names: Sequence[RuntimeName], *, cache: Path, stderr: BinaryIO
) -> "subprocess.Popen[bytes]":
    """Start a process that measures runtimes, which takes seconds to minutes.

    When it ends, `measured_runtime` returns its result; errors are written to `stderr`. The process
    may be killed at any time. `checkpoint` is a folder or a Hub id; empty is the default one.
    """
    return subprocess.Popen(
        trial_command(checkpoint, cache.resolve(), names),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )


def write_result(
    tagger: Tagger, names: Sequence[RuntimeName], measured: Sequence[Measured], *, cache: Path
) -> None:
    """Write the figures of a trial of `names` where `measured_runtime` finds them.

    Raises ValueError where no runtime is accurate (`Measured.is_right`).
    """
    document = {
        "chosen": asdict(fastest(measured)),
        "measured": [asdict(each) for each in measured],
        "conditions": _conditions(tagger, names),
    }
    target = _cached_file(cache, tagger, names)
    partial_file = target.with_suffix(".partial")
    partial_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    partial_file.replace(target)


def trial_command(checkpoint: str, cache: Path, names: Sequence[RuntimeName]) -> list[str]:
    """Return the command line of a trial; see `start_runtime_trial`."""
    folder = checkpoint or str(DEFAULT_CHECKPOINT)
    return [sys.executable, "-P", "-m", __name__, folder, str(cache), *names]


def _cached_file(cache: Path, tagger: Tagger, names: Sequence[RuntimeName]) -> Path:
    text = json.dumps(_conditions(tagger, names), sort_keys=True)
    return cache / f"runtime-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _conditions(tagger: Tagger, names: Sequence[RuntimeName]) -> dict[str, object]:
    """Everything that the choice of a runtime depends on."""
    return {
        "format": _FORMAT,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": {name: _version(name) for name in _PACKAGES},
        "checkpoint": tagger.revision,
        "clips": tagger.widescreen_shape,
        "runtimes": sorted(names),
    }


def _processor() -> dict[str, str]:
    found = {"machine": platform.machine()}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return found
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "flags", "Features"):
            found.setdefault(name.strip(), value.strip())
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def main(arguments: Sequence[str]) -> None:
    """Measure the runtimes named on the command line and write the result to the cache folder."""
    checkpoint, folder, *wanted = arguments
    names = [cast(RuntimeName, name) for name in wanted if name in get_args(RuntimeName)]
    os.nice(19)
    torch.set_num_threads(1)
    cache = Path(folder)
    cache.mkdir(parents=True, exist_ok=True)
    tagger = load_checkpoint(checkpoint)
    if not isinstance(tagger.encoder, TorchEncoder):
        raise TypeError(f"expected a TorchEncoder from load_checkpoint, got {tagger.encoder!r}")
    # Several server processes start at once; the first trial serves all of them.
    with FileLock(cache / "trial.lock"):
        if measured_runtime(tagger, names, cache=cache) is not None:
            return
        make = partial(make_encoder, cache=cache, revision=tagger.revision)
        measured = list(measure_runtimes(tagger.encoder, names, tagger.widescreen_shape, make))
        write_result(tagger, names, measured, cache=cache)


if __name__ == "__main__":
    main(sys.argv[1:])
