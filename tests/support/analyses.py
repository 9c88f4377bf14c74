"""Analyses made by hand, with the checkpoint of three colours."""

import hashlib
from collections.abc import Sequence

import numpy as np

from app.question import Analysis, EmbeddedVideo, EmbeddedWindows, Timestamps
from model import VideoInfo, WindowPlan
from tests.support.fakes import AXES

SPACE = "0"


def analysis_of(
    colours: Sequence[str], *, video_space: str = SPACE, seconds: float = 2.0, name: str = ""
) -> Analysis:
    """The analysis of a video whose windows, without overlap, have one colour each."""
    rows = np.eye(3, dtype=np.float32)[[AXES[colour] for colour in colours]]
    mean = rows.mean(axis=0)
    video = VideoInfo(seconds * len(colours), 10.0, 64, 48, 0, "h264", ("odd",))
    plan = WindowPlan.over(
        video.duration_seconds, window_seconds=seconds, stride_seconds=seconds, max_windows=100
    )
    times = Timestamps.of(np.arange(len(colours), dtype=np.float64))
    whole = (mean / np.linalg.norm(mean)).astype(np.float16).astype(np.float32)
    return Analysis(
        sha256=hashlib.sha256(f"{name} {colours}".encode()).hexdigest(),
        model_id="colours",
        video_space=video_space,
        decode="auto",
        whole=EmbeddedVideo(video, ("odd",), whole, times),
        windows=EmbeddedWindows(plan, ("odd", "wide"), rows, times),
    )
