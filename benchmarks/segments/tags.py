"""Measure the tags of films that are joined from four clips.

`python -m benchmarks.segments.tags ../shared/data/videos` asks films of validation clips for the
labels of their clips and others at random up to a number. Prints, as one JSON line, for each
number of labels the share of films whose first tag is an action in them, and the share of clips
whose own label is the first tag in their middle; with 95 % intervals by resampling films.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.segments.__main__ import Segmenter, fast
from benchmarks.segments.encoding import EncodedFilm, encode, in_chunks
from benchmarks.segments.films import Moment, clips_by_label, join, sample_films
from model import Hysteresis, Label, TaggedSegments, Tagger, load_checkpoint
from model.training.measure.intervals import ratio_interval

_CLIPS_PER_FILM = 4
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Firsts:
    """Of each film, whether its first tag is in it, and the share of clips with theirs first."""

    films: Shares
    clips: Shares


def firsts(tagger: Tagger, films: Sequence[EncodedFilm], sets: Sequence[Sequence[str]]) -> Firsts:
    """Tag each film with its set of labels."""
    of_films, of_clips = [], []
    for film, names in zip(films, sets, strict=True):
        segmenter = Segmenter(tagger, tagger.index([Label(name) for name in names]))
        tagged = segmenter.tag(film, Hysteresis())
        there = {moment.label for moment in film.truth}
        of_films.append(float(bool(tagged.tags) and tagged.tags[0].label in there))
        right = [_first_at(tagged, moment) == moment.label for moment in film.truth]
        of_clips.append(sum(right) / len(right))
    return Firsts(np.array(of_films), np.array(of_clips))


def _first_at(tagged: TaggedSegments, moment: Moment) -> str | None:
    """Return the first tag of the window whose middle is nearest to that of the moment."""
    middle = (moment.start + moment.end) / 2
    window = min(
        tagged.windows, key=lambda each: abs((each.start_seconds + each.end_seconds) / 2 - middle)
    )
    return window.tags[0].label if window.tags else None


def label_sets(
    films: Sequence[EncodedFilm], labels: Sequence[str], size: int, rng: random.Random
) -> list[list[str]]:
    """Return a set of `size` labels for each film, with those of its clips."""
    sets = []
    for film in films:
        there = [moment.label for moment in film.truth]
        others = [label for label in labels if label not in there]
        sets.append(sorted([*there, *rng.sample(others, size - len(there))]))
    return sets


def interval(shares: Shares) -> list[float]:
    """Return the mean over films, and its 95 % interval."""
    found = ratio_interval(shares, np.ones(len(shares)))
    return [round(each, 3) for each in (found.value, found.low, found.high)]


def main() -> None:
    """Join films, encode and tag them, and print the shares."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("clips", type=Path, help="folder with manifest.csv")
    options.add_argument("--films", type=int, default=60)
    options.add_argument(
        "--sizes", type=int, nargs="*", default=[10, 75, 288], help="of label sets"
    )
    given = options.parse_args()
    tagger = fast(load_checkpoint())
    clips = clips_by_label(given.clips, "validation")
    rng = random.Random(0)
    plans = sample_films(clips, given.films, rng, _CLIPS_PER_FILM)
    films = [encode(tagger, *join(parts, number), in_chunks) for number, parts in enumerate(plans)]
    figures: dict[str, object] = {"films": len(films), "clips": len(films) * _CLIPS_PER_FILM}
    for size in given.sizes:
        sets = label_sets(films, sorted(clips), min(size, len(clips)), rng)
        found = firsts(tagger, films, sets)
        figures[f"{len(sets[0])} labels"] = {
            "film_has_its_first_tag": interval(found.films),
            "clip_has_its_own_first": interval(found.clips),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
