"""Joins real clips to films of which it is known what is on when."""

import csv
import io
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from model.video.reader import open_video

_WIDTH, _HEIGHT, _RATE = 288, 216, 15
_MIN_SECONDS, _MAX_SECONDS = 3.0, 12.0
# Opposites of what is looked for, and whole scenes: no action that could begin or end.
_NO_ACTION = {"no fighting"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A label from one time to another in a film; `score` is 1 where it is known to be there."""

    film: int
    label: str
    start: float
    end: float
    score: float = 1.0


def clips_by_label(folder: Path, split: str = "train") -> dict[str, list[Path]]:
    """The real clips of a split of the folder's `manifest.csv`."""
    found = defaultdict(list)
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == split and row["label"] not in _NO_ACTION:
                found[row["label"]].append(folder / row["path"])
    return dict(found)


def sample_films(
    clips: dict[str, list[Path]], count: int, rng: random.Random, clips_per_film: int = 8
) -> list[list[tuple[str, Path]]]:
    """Films as lists of clips of different labels; no clip is in two films."""
    pools = {label: rng.sample(paths, len(paths)) for label, paths in sorted(clips.items())}
    films = []
    for _ in range(count):
        filled = [label for label, paths in pools.items() if paths]
        chosen = rng.sample(filled, clips_per_film)
        films.append([(label, pools[label].pop()) for label in chosen])
    return films


def join(parts: Sequence[tuple[str, Path]], film: int) -> tuple[bytes, tuple[Moment, ...]]:
    """One film of the clips in order, and when each label is on; very short ones are repeated."""
    buffer, moments, number = io.BytesIO(), [], 0
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=_RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for label, path in parts:
            first = number
            for picture in _pictures(path):
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                output.mux(stream.encode(frame))
                number += 1
            moments.append(Moment(film, label, first / _RATE, number / _RATE))
        output.mux(stream.encode())
    return buffer.getvalue(), tuple(moments)


def _pictures(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """A clip's frames at the film's rate, letterboxed into its size."""
    with path.open("rb") as file, open_video(file) as video:
        length = video.info.duration_seconds
        wanted = min(max(length, _MIN_SECONDS), _MAX_SECONDS)
        times = (np.arange(round(wanted * _RATE)) / _RATE) % length
        info = video.info
        side = min(
            _HEIGHT, int(_WIDTH * min(info.width, info.height) / max(info.width, info.height))
        )
        batch = video.decode(times, short_side=side // 2 * 2)
    height, width = batch.frames.shape[1:3]
    top, left = max(0, (_HEIGHT - height) // 2), max(0, (_WIDTH - width) // 2)
    for frame in batch.frames:
        canvas = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
        cut = frame[:_HEIGHT, :_WIDTH]
        canvas[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
        yield canvas
