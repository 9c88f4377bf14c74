"""Looks at the computer: Python, processors, memory, FFmpeg, and packages that can be added."""

import os
import platform
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from app.cli.doctor.findings import Finding

_GIB = 1024**3
# What a server with two decoders takes under load, and what the kernel needs beside it.
_LEAST_MEMORY = 2 * _GIB
# Linux gives long time slices on request since this release.
_TIME_SLICES_SINCE = (6, 12)
_LIMITS = Path("/sys/fs/cgroup")
# Extras: the module that shows that they are installed, and what they are for.
_EXTRAS = {
    "openvino": ("openvino", "encodes faster on a CPU"),
    "postgres": ("psycopg", "labels in PostgreSQL, for several computers"),
    "gpu": ("torchcodec", "decodes videos on an NVIDIA GPU"),
    "mcp": ("mcp", "answers the tools of language models"),
    "archive": ("ray", "tags folders and buckets of videos on several processes or computers"),
    "encoders": ("timm", "serves and imports PE-Core encoders"),
    "otel": ("opentelemetry.sdk", "sends traces to a collector"),
    "train": ("pyarrow", "trains and measures checkpoints"),
}


def python() -> Finding:
    """Say which Python, Kinolex and kernel run."""
    running = f"Python {platform.python_version()}, Kinolex {version('kinolex')}"
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if sys.platform != "linux":
        return Finding("system", "problem", f"{running}, {system}", "run it on Linux")
    release = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    if release < _TIME_SLICES_SINCE:
        text = f"{running}, {system}: before Linux 6.12, decoding and encoding disturb each other"
        return Finding("system", "note", text)
    return Finding("system", "ok", f"{running}, {system}")


def processors(decode_workers: int, limits: Path = _LIMITS) -> Finding:
    """Say how many processors there are, and whether the decode processes fit.

    `limits` is the folder of the control group.
    """
    count = len(os.sched_getaffinity(0))
    text = f"{count}, and {decode_workers} decode processes"
    limit = _processor_limit(limits)
    if limit is not None and decode_workers > max(1, limit):
        text += f", but a limit of {limit:g}"
        remedy = f"KINOLEX_DECODE_WORKERS={max(1, int(limit))}"
        return Finding("processors", "note", text, remedy)
    return Finding("processors", "ok", text)


def memory(limits: Path = _LIMITS) -> Finding:
    """Say how much memory there is, with the limit of the control group in the folder `limits`."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _limit(limits / "memory.max")
    usable = total if limit is None else min(total, limit)
    text = f"{usable / _GIB:.1f} GiB"
    if limit is not None and limit < total:
        text += " (a limit)"
    if usable < _LEAST_MEMORY:
        return Finding("memory", "note", text, "2 GiB and more; see docs/how-to/size.md")
    return Finding("memory", "ok", text)


def ffmpeg() -> Finding:
    """Say which FFmpeg decodes."""
    import av

    return Finding("ffmpeg", "ok", f"{av.ffmpeg_version_info}, inside of PyAV {version('av')}")


def extras() -> list[Finding]:
    """Say which extras are installed, and how the others are."""
    return [
        missing_extra(name, module, purpose) or Finding(f"extra {name}", "ok", purpose)
        for name, (module, purpose) in _EXTRAS.items()
    ]


def missing_extra(name: str, module: str, purpose: str) -> Finding | None:
    """Return how an extra is installed; None if its module is there."""
    if _is_installed(module):
        return None
    # by its folder: no index has the project
    remedy = f"in the checkout: pip install --constraint constraints.txt --editable '.[{name}]'"
    return Finding(f"extra {name}", "note", f"not installed: {purpose}", remedy)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package above it
        return False


def _limit(file: Path) -> int | None:
    """Return a number of bytes from a control group's file, None without a limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _processor_limit(limits: Path) -> float | None:
    """Return how many processors the control group may use, None without a limit."""
    try:
        quota, _, period = (limits / "cpu.max").read_text().strip().partition(" ")
    except OSError:
        return None
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None
