"""Write samples to tar shards in WebDataset's layout: KEY.mp4 or KEY.jpg beside KEY.json.

The labelled span of a video is decoded as the service does (rotation and aspect ratio applied) and
encoded again with a small picture, a short group of pictures and a constant frame rate, so that
random clips are read quickly. A manifest of the shards is written beside them.
"""

import io
import json
import random
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from model.errors import NoFrames, VideoError
from model.training.data.manifest import Sample, write_manifest
from model.training.data.readers import open_sample, read_pair, read_picture
from model.video.reader import AnyVideo, open_video

_FRAMES_PER_BLOCK = 64  # decoded at a time: 64 frames of 340 x 256 are 17 MB
_TAR_BLOCK = 512


@dataclass(frozen=True, slots=True)
class ShardConfig:
    """The encoding of samples: `gop` frames between keyframes, `quality` is x264's CRF.

    `short_side` is in pixels; smaller pictures are not enlarged. A shard has at most `max_bytes`
    bytes, unless a single sample is larger. `seed` shuffles the samples.
    """

    short_side: int = 256
    gop: int = 12
    quality: int = 20
    max_bytes: int = 1_000_000_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Sharded:
    """The manifest that was written, its number of samples, and the skipped ones with reasons."""

    manifest: Path
    samples: int
    skipped: tuple[str, ...]


def write_shards(
    samples: Sequence[Sample],
    out: Path,
    config: ShardConfig | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Sharded:
    """Write `out/shard-NNNNNN.tar` in a seeded random order, and `out/manifest.csv`.

    Samples that cannot be read are skipped and listed in the result. `workers` processes encode.
    """
    config = config or ShardConfig()
    out.mkdir(parents=True, exist_ok=True)
    ordered = list(samples)
    # in the order of a manifest sorted by class, a shard would hold few classes
    random.Random(config.seed).shuffle(ordered)
    written: list[Sample] = []
    skipped: list[str] = []
    with _Shards(out, config.max_bytes) as shards:
        for number, (sample, made) in enumerate(
            zip(ordered, _encoded(ordered, config, workers), strict=True)
        ):
            if isinstance(made, str):
                skipped.append(f"{sample.path} {sample.member}".rstrip() + f": {made}")
            else:
                written.append(shards.add(f"{number:09d}", sample, made))
            if progress:
                progress(number + 1, len(ordered))
    manifest = out / "manifest.csv"
    write_manifest(manifest, written)
    return Sharded(manifest, len(written), tuple(skipped))


def encode_sample(sample: Sample, config: ShardConfig) -> dict[str, bytes] | str:
    """Encode a sample: bytes of its members by suffix, or the reason why it cannot be read."""
    try:
        if sample.is_picture:
            read = read_pair if sample.pair else read_picture
            frames = read(sample, config.short_side, enlarge=False)
            return dict(zip((".jpg", ".last.jpg"), map(_jpeg, frames), strict=False))
        with open_sample(sample) as file, open_video(file) as video:
            return {".mp4": _encode_video(video, sample, config)}
    except (VideoError, OSError) as error:
        return str(error)


class _Shards:
    """Writes tar files of limited size; a file gets its final name when it is complete."""

    def __init__(self, out: Path, max_bytes: int) -> None:
        self._out, self._max_bytes = out, max_bytes
        self._tar: tarfile.TarFile | None = None
        self._number, self._bytes = -1, 0

    def __enter__(self) -> "_Shards":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._finish()

    def add(self, key: str, sample: Sample, members: dict[str, bytes]) -> Sample:
        """Write a sample's members; return the sample with its location in the shard."""
        about = {"label": sample.label, "captions": sample.captions, "dataset": sample.dataset}
        payloads = {**members, ".json": json.dumps({**about, "split": sample.split}).encode()}
        size = sum(_TAR_BLOCK + -(-len(p) // _TAR_BLOCK) * _TAR_BLOCK for p in payloads.values())
        if self._tar is None or self._bytes + size > self._max_bytes:
            self._finish()
            self._number += 1
            self._tar = tarfile.open(self._partial(), "w")  # noqa: SIM115  # `_finish` closes it
            self._bytes = 2 * _TAR_BLOCK
        self._bytes += size
        for ending, payload in payloads.items():
            entry = tarfile.TarInfo(key + ending)
            entry.size = len(payload)
            self._tar.addfile(entry, io.BytesIO(payload))
        first, *more = members
        return replace(
            sample,
            path=self._path(),
            member=key + first,
            pair=key + more[0] if more else "",
            start_seconds=None,
            end_seconds=None,
        )

    def _finish(self) -> None:
        if self._tar is not None:
            self._tar.close()
            self._tar = None
            self._partial().replace(self._path())

    def _path(self) -> Path:
        return self._out / f"shard-{self._number:06d}.tar"

    def _partial(self) -> Path:
        return self._path().with_suffix(".partial")


def _encoded(
    samples: Sequence[Sample], config: ShardConfig, workers: int
) -> Iterator[dict[str, bytes] | str]:
    encode = partial(encode_sample, config=config)
    if workers < 2:
        yield from map(encode, samples)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        # in groups, so that few encoded samples wait in memory
        for start in range(0, len(samples), 8 * workers):
            yield from pool.map(encode, samples[start : start + 8 * workers])


def _encode_video(video: AnyVideo, sample: Sample, config: ShardConfig) -> bytes:
    duration, rate = video.info.duration_seconds, video.info.frames_per_second
    start = sample.start_seconds or 0.0
    end = min(sample.end_seconds or duration, duration)
    if start >= end:
        raise NoFrames(f"the video ends at {duration:g} s, before {start:g} s")
    side = min(config.short_side, video.info.width, video.info.height) // 2 * 2
    count = max(1, round((end - start) * rate))
    times = np.minimum(start + (np.arange(count) + 0.5) / rate, duration)
    blocks = (
        video.decode(times[first : first + _FRAMES_PER_BLOCK], short_side=max(2, side)).frames
        for first in range(0, count, _FRAMES_PER_BLOCK)
    )
    return _h264(blocks, Fraction(rate).limit_denominator(1001), config)


def _h264(blocks: Iterable[npt.NDArray[np.uint8]], rate: Fraction, config: ShardConfig) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = config.gop
        stream.options = {"crf": str(config.quality), "preset": "veryfast"}
        for block in blocks:
            stream.height, stream.width = block.shape[1:3]
            for pixels in block:
                output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        output.mux(stream.encode())
    return buffer.getvalue()


def _jpeg(frame: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "jpeg", quality=92)
    return buffer.getvalue()
