"""Read samples as frames, from plain files or from zip and tar shards without extracting."""

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from model.errors import CorruptVideo, NoFrames
from model.training.data.archives import read_member
from model.training.data.manifest import Sample
from model.video.reader import open_video
from model.video.sampling import SamplingConfig, clip_timestamps

# Raised by Pillow's readers for damaged files.
_DAMAGE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)


def read_picture(sample: Sample, short_side: int, *, enlarge: bool = True) -> npt.NDArray[np.uint8]:
    """Read a picture as one frame (1, H, W, 3) uint8 RGB with its short side at `short_side`.

    A smaller picture keeps its size unless `enlarge`. Raises CorruptVideo when it cannot be
    decoded, OSError when the file cannot be read.
    """
    name = f"{sample.path} {sample.member}".strip()
    with open_sample(sample) as file, _picture(file, name) as rgb:
        scale = short_side / min(rgb.size)
        if scale < 1.0 or (scale > 1.0 and enlarge):
            size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
            return np.asarray(rgb.resize(size, Image.Resampling.BILINEAR))[np.newaxis]
        return np.array(rgb)[np.newaxis]


def read_pair(sample: Sample, short_side: int, *, enlarge: bool = True) -> npt.NDArray[np.uint8]:
    """Read a picture and its pair as two frames (2, H, W, 3), both in the size of the first.

    Otherwise as `read_picture`, which lists the errors raised.
    """
    first = read_picture(sample, short_side, enlarge=enlarge)
    with _open_pair(sample) as file, _picture(file, f"{sample.path} {sample.pair}") as rgb:
        size = (first.shape[2], first.shape[1])
        last = np.asarray(rgb.resize(size, Image.Resampling.BILINEAR))[np.newaxis]
    return np.concatenate([first, last])


def read_clips(
    sample: Sample,
    sampling: SamplingConfig,
    short_side: int,
    *,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[np.uint8]:
    """Read a video's clips: (clips * frames_per_clip, H, W, 3) uint8.

    Without `rng` timestamps are those of the service. With `rng`, `spread` clips cover a random
    part of at least half of the sample's span, and each `consecutive` clip starts at a random frame
    from which it fits (the paper, section 3). Raises a VideoError when the video cannot be decoded.
    """
    with open_sample(sample) as file, open_video(file) as video:
        duration, rate = video.info.duration_seconds, video.info.frames_per_second
        start = sample.start_seconds or 0.0
        if start >= duration:
            raise NoFrames(f"{sample.path} ends at {duration:g} s, before {start:g} s")
        end = min(sample.end_seconds or duration, duration)
        if rng is None:
            times = clip_timestamps(start, end, rate, sampling, video.keyframe_before)
        else:
            times = _random_times(start, end, rate, sampling, rng)
        return video.decode(times.ravel(), short_side=short_side).frames


def read_frames(sample: Sample, sampling: SamplingConfig, short_side: int) -> npt.NDArray[np.uint8]:
    """Read one frame of a picture, or clips * frames_per_clip frames of a video."""
    if sample.is_picture:
        return read_picture(sample, short_side)
    return read_clips(sample, sampling, short_side)


def open_sample(sample: Sample) -> BinaryIO:
    """Open the sample as a binary file. Raises CorruptVideo (a damaged shard) or OSError."""
    if sample.member:
        return io.BytesIO(read_member(sample.path, sample.member))
    return sample.path.open("rb")


def _open_pair(sample: Sample) -> BinaryIO:
    if sample.member:
        return io.BytesIO(read_member(sample.path, sample.pair))
    return Path(sample.pair).open("rb")


@contextmanager
def _picture(file: BinaryIO, name: str) -> Iterator[Image.Image]:
    """Decode a picture to RGB. Raises CorruptVideo."""
    try:
        with Image.open(file) as picture:
            rgb = picture.convert("RGB")
    except _DAMAGE as error:
        raise CorruptVideo(f"{name} is not a picture: {error}") from error
    yield rgb


def _random_times(
    start: float,
    end: float,
    frames_per_second: float,
    sampling: SamplingConfig,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    if sampling.spacing == "spread":
        kept = rng.uniform(0.5, 1.0) * (end - start)
        start += rng.uniform(0.0, end - start - kept)
        return clip_timestamps(start, start + kept, frames_per_second, sampling)
    one = replace(sampling, clips=1)
    present = math.floor((end - start) * frames_per_second + 1e-6)
    firsts = rng.integers(max(0, present - one.frames_per_clip) + 1, size=sampling.clips)
    starts = start + np.sort(firsts) / frames_per_second
    length = one.frames_per_clip / frames_per_second
    clips = [clip_timestamps(s, min(s + length, end), frames_per_second, one) for s in starts]
    return np.concatenate(clips)
