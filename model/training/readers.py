"""Bytes of samples to frames: pictures from zip shards, videos through `model.video`."""

import io
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from model.errors import CorruptVideo
from model.sampling import SamplingConfig, clip_timestamps
from model.training.manifest import Sample
from model.video import VideoLimits, decode, probe


@cache
def _archive(path: Path) -> zipfile.ZipFile:
    """One open handle for each shard and process; reading a member moves no shared position."""
    return zipfile.ZipFile(path)


def read_picture(sample: Sample, short_side: int) -> npt.NDArray[np.uint8]:
    """A picture as one frame (1, H, W, 3) uint8 RGB with its short side at `short_side`.

    Raises CorruptVideo when the bytes are no picture.
    """
    payload = (
        _archive(sample.path).read(sample.member) if sample.member else sample.path.read_bytes()
    )
    try:
        with Image.open(io.BytesIO(payload)) as picture:
            rgb = picture.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise CorruptVideo(f"{sample.path} {sample.member} is no picture: {error}") from error
    scale = short_side / min(rgb.size)
    if scale != 1.0:
        size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
        rgb = rgb.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(rgb)[np.newaxis]


def read_clips(
    sample: Sample,
    sampling: SamplingConfig,
    short_side: int,
    *,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[np.uint8]:
    """A video's clips: (clips * frames_per_clip, H, W, 3) uint8.

    Without `rng` as the service would take them; with it from a random stretch of at least half
    of the sample's span. Raises a VideoError when the bytes cannot be used.
    """
    limits = VideoLimits()
    with sample.path.open("rb") as file:
        info = probe(file, limits)
        start = sample.start_seconds or 0.0
        end = min(sample.end_seconds or info.duration_seconds, info.duration_seconds)
        if rng is not None:
            kept = rng.uniform(0.5, 1.0) * (end - start)
            start += rng.uniform(0.0, end - start - kept)
            end = start + kept
        times = clip_timestamps(start, max(end, start + 1e-3), info.frames_per_second, sampling)
        return decode(file, times.ravel(), short_side=short_side, limits=limits).frames


def read_frames(sample: Sample, sampling: SamplingConfig, short_side: int) -> npt.NDArray[np.uint8]:
    """Frames of a picture (1) or of a video (clips * frames_per_clip)."""
    if sample.is_picture:
        return read_picture(sample, short_side)
    return read_clips(sample, sampling, short_side)
