"""How well segments find when an action happens: `python -m benchmarks.segments CLIPS`.

Joins real clips to films whose cuts are known, asks the library for segments, and compares them
with the best tag of each window, not merged. The measure is the mean over labels of average
precision at a temporal intersection over union of 0.5, as ActivityNet has it (Caba Heilbron et al.,
2015). With `--tune` the thresholds of merging are chosen on films of their own first, from clips
that no measured film holds. Prints one JSON line last.
"""

import argparse
import csv
import io
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from model import (
    Hysteresis,
    Label,
    LabelIndex,
    TaggedSegments,
    Tagger,
    VideoInfo,
    WindowPlan,
    load_checkpoint,
    window_batches,
)
from model.video.reader import open_video

_WIDTH, _HEIGHT, _RATE = 288, 216, 15
_CLIPS_PER_FILM = 8
_MIN_SECONDS, _MAX_SECONDS = 3.0, 12.0
_WINDOW_SECONDS, _STRIDE_SECONDS = 4.0, 2.0
_TOP_K = 5
_OVERLAP = 0.5
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


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFilm:
    """A film's windows with their (W, dim) embeddings, and what is really there."""

    film: int
    video: VideoInfo
    plan: WindowPlan
    embeddings: npt.NDArray[np.float32]
    truth: tuple[Moment, ...]


def clips_by_label(folder: Path) -> dict[str, list[Path]]:
    """The real clips named by `manifest.csv` beside the folder `train`."""
    found = defaultdict(list)
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == "train" and row["label"] not in _NO_ACTION:
                found[row["label"]].append(folder / row["path"])
    return dict(found)


def sample_films(
    clips: dict[str, list[Path]], count: int, rng: random.Random
) -> list[list[tuple[str, Path]]]:
    """Films as lists of clips of different labels; no clip is in two films."""
    pools = {label: rng.sample(paths, len(paths)) for label, paths in sorted(clips.items())}
    films = []
    for _ in range(count):
        filled = [label for label, paths in pools.items() if paths]
        chosen = rng.sample(filled, _CLIPS_PER_FILM)
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


def encode(tagger: Tagger, film: bytes, truth: tuple[Moment, ...]) -> EncodedFilm:
    """The embeddings of a film's windows; merging is tried on them many times."""
    with open_video(io.BytesIO(film)) as video:
        plan = WindowPlan.over(
            video.info.duration_seconds,
            window_seconds=_WINDOW_SECONDS,
            stride_seconds=_STRIDE_SECONDS,
            max_windows=1024,
        )
        embeddings = []
        for batch in window_batches(plan, video.info, tagger.sampling):
            frames = video.decode(batch.distinct_seconds, short_side=tagger.preprocess.short_side)
            embeddings.append(tagger.embed_frames(batch.split(frames)))
    return EncodedFilm(truth[0].film, video.info, plan, np.concatenate(embeddings), truth)


@dataclass(frozen=True, slots=True, eq=False)
class Segmenter:
    """The library's tagging over time, with a hysteresis to choose."""

    tagger: Tagger
    index: LabelIndex

    def tag(self, film: EncodedFilm, hysteresis: Hysteresis) -> TaggedSegments:
        """Tags and segments of a film."""
        tagging = self.tagger.segment_tagging(
            film.video,
            film.plan,
            self.index,
            top_k=_TOP_K,
            min_score=0.0,
            hysteresis=hysteresis,
        )
        tagging.add(film.embeddings)
        return tagging.finish()

    def segments(self, film: EncodedFilm, hysteresis: Hysteresis) -> Iterator[Moment]:
        """A film's segments, each tag with its mean score in the segment."""
        for segment in self.tag(film, hysteresis).segments:
            for tag, mean in zip(segment.tags, segment.mean_scores, strict=True):
                yield Moment(film.film, tag.label, segment.start_seconds, segment.end_seconds, mean)

    def one_tag_per_window(self, film: EncodedFilm) -> Iterator[Moment]:
        """Each window by itself, with its best tag: the answer without merging."""
        for window in self.tag(film, Hysteresis()).windows:
            best = window.tags[0]
            yield Moment(
                film.film, best.label, window.start_seconds, window.end_seconds, best.score
            )


def mean_average_precision(truth: Sequence[Moment], found: Sequence[Moment]) -> float:
    """Mean over the labels that are there of average precision at `_OVERLAP`."""
    labels = sorted({moment.label for moment in truth})
    return float(np.mean([_average_precision(label, truth, found) for label in labels]))


def _average_precision(label: str, truth: Sequence[Moment], found: Sequence[Moment]) -> float:
    wanted = [moment for moment in truth if moment.label == label]
    guesses = sorted(
        (moment for moment in found if moment.label == label), key=lambda one: -one.score
    )
    taken: set[int] = set()
    hits = []
    for guess in guesses:
        overlaps = [
            -1.0 if at in taken else _overlap(guess, moment) for at, moment in enumerate(wanted)
        ]
        best = int(np.argmax(overlaps))
        is_hit = overlaps[best] >= _OVERLAP
        if is_hit:
            taken.add(best)
        hits.append(is_hit)
    if not any(hits):
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    # interpolated: at each recall the best precision at that recall or above
    best_later = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_later[np.array(hits)].sum() / len(wanted))


def _overlap(one: Moment, other: Moment) -> float:
    if one.film != other.film:
        return 0.0
    shared = min(one.end, other.end) - max(one.start, other.start)
    whole = max(one.end, other.end) - min(one.start, other.start)
    return max(0.0, shared) / whole


def score(films: Sequence[EncodedFilm], find: Callable[[EncodedFilm], Iterator[Moment]]) -> float:
    """The mean average precision of one way to find moments."""
    truth = [moment for film in films for moment in film.truth]
    return mean_average_precision(truth, [moment for film in films for moment in find(film)])


def tune(films: Sequence[EncodedFilm], segmenter: Segmenter) -> Hysteresis:
    """The hysteresis that is best on these films."""
    shares = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    choices = [
        Hysteresis(open_share, keep_share)
        for open_share, keep_share in product((*shares, 0.05, 0.1), (*shares, 1.0))
    ]
    return max(
        choices, key=lambda chosen: score(films, lambda film: segmenter.segments(film, chosen))
    )


def main() -> None:
    """Join films, encode them, tune where asked, measure, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("clips", type=Path, help="folder with manifest.csv and train/")
    options.add_argument("--films", type=int, default=12, help="films that are measured on")
    options.add_argument("--tune", type=int, default=0, help="films to choose the hysteresis on")
    options.add_argument("--checkpoint", help="instead of the default one")
    given = options.parse_args()
    tagger = load_checkpoint(given.checkpoint) if given.checkpoint else load_checkpoint()
    clips = clips_by_label(given.clips)
    segmenter = Segmenter(tagger, tagger.index([Label(name) for name in sorted(clips)]))
    films = [
        encode(tagger, *join(parts, number))
        for number, parts in enumerate(
            sample_films(clips, given.tune + given.films, random.Random(0))
        )
    ]
    tuned_on, measured = films[: given.tune], films[given.tune :]
    figures: dict[str, object] = {
        "films": len(measured),
        "minutes": round(sum(film.video.duration_seconds for film in measured) / 60, 1),
        "moments": sum(len(film.truth) for film in measured),
        "labels": len(clips),
        "map_segments": round(
            score(measured, lambda film: segmenter.segments(film, Hysteresis())), 4
        ),
        "map_one_tag_per_window": round(score(measured, segmenter.one_tag_per_window), 4),
    }
    if tuned_on:
        chosen = tune(tuned_on, segmenter)
        figures["tuned"] = {"open_share": chosen.open_share, "keep_share": chosen.keep_share}
        figures["map_tuned"] = round(
            score(measured, lambda film: segmenter.segments(film, chosen)), 4
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
