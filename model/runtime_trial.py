"""Which runtime is right and fastest on this computer: found out by a process of its own, once.

    python -m model.runtime_trial CHECKPOINT CACHE RUNTIME [RUNTIME ...]

A process of its own, at the lowest priority: compiling takes a minute of Python, which would hold
up the threads that answer, and memory that would stay. Its answer is a JSON file in the cache
folder, under a name that changes with the processor, the versions and the checkpoint.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast, get_args

import torch
from filelock import FileLock

from model.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from model.encoder.networks import ClipShape, Runtime, RuntimeName, TorchEncoder
from model.encoder.preprocess import crop_size
from model.encoder.runtime import Measured, fastest, make_encoder, measure_runtimes
from model.tagger import Tagger

_FORMAT = 1  # of the file, and of how it is measured


def trial_command(checkpoint: str, cache: Path, names: Sequence[RuntimeName]) -> list[str]:
    """The command that measures these runtimes and writes `cached_choice`'s file.

    `checkpoint` is a folder or a Hub id; empty: the one that ships with Kinolex.
    """
    folder = checkpoint or str(DEFAULT_CHECKPOINT)
    return [sys.executable, "-P", "-m", __name__, folder, str(cache), *names]


def usual_clips(tagger: Tagger) -> ClipShape:
    """The shape of a widescreen video's pixels, which is the one to be ready for."""
    short_side = tagger.preprocess.short_side
    height, width = crop_size(short_side, round(short_side * 16 / 9), tagger.preprocess)
    return (tagger.sampling.clips, tagger.sampling.frames_per_clip, 3, height, width)


def cached_choice(cache: Path, tagger: Tagger, names: Sequence[RuntimeName]) -> Measured | None:
    """What a trial of these runtimes has chosen on this computer before; None when it must run."""
    try:
        document = json.loads(_file(cache, tagger, names).read_bytes())
        chosen = document["chosen"]
        return Measured(**{**chosen, "runtime": Runtime(**chosen["runtime"])})
    except (OSError, ValueError, TypeError, KeyError):
        # never written, or by nobody of ours: measure again
        return None


def _file(cache: Path, tagger: Tagger, names: Sequence[RuntimeName]) -> Path:
    text = json.dumps(_circumstances(tagger, names), sort_keys=True)
    return cache / f"runtime-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _circumstances(tagger: Tagger, names: Sequence[RuntimeName]) -> dict[str, object]:
    """Everything that the choice depends on."""
    return {
        "format": _FORMAT,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": {name: _version(name) for name in ("torch", "openvino")},
        "checkpoint": tagger.revision,
        "clips": usual_clips(tagger),
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
    """Measure, and leave the answer in the cache folder."""
    checkpoint, folder, *wanted = arguments
    names = [cast(RuntimeName, name) for name in wanted if name in get_args(RuntimeName)]
    os.nice(19)
    torch.set_num_threads(1)
    cache = Path(folder)
    cache.mkdir(parents=True, exist_ok=True)
    tagger = load_checkpoint(checkpoint)
    if not isinstance(tagger.encoder, TorchEncoder):
        raise TypeError("a checkpoint's encoder is a TorchEncoder")
    # several server processes start at once and need one trial
    with FileLock(cache / "trial.lock"):
        if cached_choice(cache, tagger, names) is not None:
            return
        make = partial(make_encoder, cache=cache, revision=tagger.revision)
        measured = list(measure_runtimes(tagger.encoder, names, usual_clips(tagger), make))
        document = {
            "chosen": asdict(fastest(measured)),
            "measured": [asdict(each) for each in measured],
            "circumstances": _circumstances(tagger, names),
        }
        target = _file(cache, tagger, names)
        partial_file = target.with_suffix(".partial")
        partial_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        partial_file.replace(target)


if __name__ == "__main__":
    main(sys.argv[1:])
