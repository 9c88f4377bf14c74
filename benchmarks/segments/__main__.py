"""How well segments find when an action happens: `python -m benchmarks.segments CLIPS`.

Joins real clips to films whose cuts are known, asks the library for segments, and compares them
with the best tag of each window, not merged. The measure is the mean over labels of average
precision at a temporal intersection over union of 0.5. With `--tune` the thresholds of merging are
chosen on films of their own first, from clips that no measured film holds. Prints one JSON line
last. Every film is encoded in two ways: in chunks, as the library does, and each window on its own.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import torch

from benchmarks.segments.encoding import EncodedFilm, each_window, encode, in_chunks
from benchmarks.segments.films import Moment, clips_by_label, join, sample_films
from benchmarks.segments.precision import mean_average_precision
from model import (
    Hysteresis,
    Label,
    LabelIndex,
    Runtime,
    RuntimeEncoder,
    TaggedSegments,
    Tagger,
    TorchEncoder,
    load_checkpoint,
    make_encoder,
)
from model.encoder.runtime_measurement import supports_bfloat16

_TOP_K = 5


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


def fast(tagger: Tagger) -> Tagger:
    """The tagger with the runtime that a service chooses on most processors, where installed."""
    torch.set_num_threads(1)
    if find_spec("openvino") is None or not isinstance(tagger.encoder, TorchEncoder):
        return tagger
    runtime = Runtime("openvino", "bfloat16" if supports_bfloat16() else "float32")
    encoder = make_encoder(runtime, tagger.encoder)
    encoder.prepare(tagger.widescreen_shape)
    # as a service does: it encodes further sizes in torch until they are prepared
    switching = RuntimeEncoder(tagger.encoder)
    switching.switch_to(encoder)
    return replace(tagger, encoder=switching)


def figures_of(films: Sequence[EncodedFilm], segmenter: Segmenter) -> dict[str, float]:
    """What one way to encode the films costs, and how well segments are found with it."""
    seconds = sum(film.video.duration_seconds for film in films)
    return {
        "map_segments": round(score(films, lambda film: segmenter.segments(film, Hysteresis())), 4),
        "map_one_tag_per_window": round(score(films, segmenter.one_tag_per_window), 4),
        "video_seconds_per_cpu_second": round(seconds / sum(film.cpu_seconds for film in films), 1),
    }


def main() -> None:
    """Join films, encode them, tune where asked, measure, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("clips", type=Path, help="folder with manifest.csv")
    options.add_argument("--split", default="train", help="split of the manifest to join")
    options.add_argument("--films", type=int, default=12, help="films that are measured on")
    options.add_argument("--tune", type=int, default=0, help="films to choose the hysteresis on")
    options.add_argument("--checkpoint", help="instead of the default one")
    given = options.parse_args()
    tagger = fast(load_checkpoint(given.checkpoint) if given.checkpoint else load_checkpoint())
    clips = clips_by_label(given.clips, given.split)
    segmenter = Segmenter(tagger, tagger.index([Label(name) for name in sorted(clips)]))
    plans = sample_films(clips, given.tune + given.films, random.Random(0))
    joined = [join(parts, number) for number, parts in enumerate(plans)]
    tuned_on = [encode(tagger, *film, in_chunks) for film in joined[: given.tune]]
    # one film after the other in both ways, so that other work on the computer slows both
    both = [
        (encode(tagger, *film, in_chunks), encode(tagger, *film, each_window))
        for film in joined[given.tune :]
    ]
    chunked, alone = [one for one, _ in both], [other for _, other in both]
    figures: dict[str, object] = {
        "films": len(chunked),
        "minutes": round(sum(film.video.duration_seconds for film in chunked) / 60, 1),
        "moments": sum(len(film.truth) for film in chunked),
        "labels": len(clips),
        "runtime": str(tagger.encoder.runtime),
        **figures_of(chunked, segmenter),
        "each_window": figures_of(alone, segmenter),
    }
    if tuned_on:
        chosen = tune(tuned_on, segmenter)
        figures["tuned"] = {"open_share": chosen.open_share, "keep_share": chosen.keep_share}
        figures["map_tuned"] = round(
            score(chunked, lambda film: segmenter.segments(film, chosen)), 4
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
