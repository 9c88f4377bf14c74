"""Accuracy and honesty of scores on everyday videos, as `accuracy.everyday` measures them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness.checkpoint import FOLDER
from model import load_checkpoint

_NAMES = ("everyday_top1", "everyday_top5", "unknown_auroc", "ece", "sure_right")


def measure(data: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the served checkpoint on the everyday videos of `data`; shares are 0..1.

    Every figure is None, with the reason, if `data` has no manifest of videos.
    """
    if not (data / "videos" / "manifest.csv").is_file():
        return _nothing("no ../shared/data beside the checkout")
    try:
        from benchmarks.accuracy.everyday import embed, examine, videos_of
    except ModuleNotFoundError as error:
        return _nothing(f"{error}; install the extra `train`")
    videos = videos_of(data)
    say(f"tagging {len(videos)} everyday videos")
    tagger = load_checkpoint(FOLDER)
    case, _ = embed(tagger, videos)
    found, _ = examine(tagger, case)
    figures = (
        *(found.top1[0], found.top5[0]),
        *(found.unknown_auroc, found.calibration_error, found.sure_right),
    )
    return {**dict(zip(_NAMES, figures, strict=True)), "everyday_videos": found.videos}


def _nothing(reason: str) -> dict[str, Any]:
    return {**dict.fromkeys(_NAMES), "no_accuracy_because": reason}
