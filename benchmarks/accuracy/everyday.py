"""Accuracy, scores and cost on everyday videos: `python -m benchmarks.accuracy.everyday DATA`.

DATA holds `videos/manifest.csv`; its labelled videos with the split `validation` are tagged with
all their labels. Prints top-1 and top-5 (95 % intervals by bootstrap over labels), the share of
first tags with a score of 0.6 or more that are right, the calibration error of the first score, the
AUROC of `unknown` for sets of ten labels with and without the right one, and how often the best
score and unknown exceed 1 together; the same without parts of the checkpoint; the honesty of scores
by size of the label set and of labels that were taught one example; and with `--curve` accuracy and
processor time for other sizes and numbers of frames. The checkpoint's scores and
levels were fitted on these videos, so that the figures flatter it. `--report FOLDER` writes
reliability diagrams, the curve and the labels that attract wrong videos as everyday.html. One JSON
line last.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.everyday_scores import by_size, taught
from benchmarks.harness.checkpoint import FOLDER
from model import Label, LabelIndex, Prototypes, Tagger, load_checkpoint
from model.training.data.manifest import Sample, read_manifest
from model.training.measure.intervals import accuracy_interval
from model.training.measure.metrics import Ints, auroc, hits_at, reliability

Vectors = npt.NDArray[np.float32]
_SET_SIZE, _DRAWS = 10, 3
_SURE = 0.6
_CURVE = ((160, 4), (192, 4), (224, 2), (224, 4), (224, 6), (288, 4))  # pixels, frames


@dataclass(frozen=True, slots=True)
class Everyday:
    """Figures on N videos and C labels; shares are 0..1, intervals are (value, low, high)."""

    videos: int
    labels: int
    top1: tuple[float, float, float]
    top5: tuple[float, float, float]
    sure: int
    sure_right: float
    calibration_error: float
    unknown_auroc: float
    over_one: int


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Case:
    """Videos as (N, dim) embeddings, and the label of each."""

    embeddings: Vectors
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Firsts:
    """Of each video the first tag's score and whether it is right, and `unknown` of label sets.

    `known` and `missing` are unknown's scores for sets with and without the right label.
    """

    scores: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    predicted: tuple[str, ...]
    over_one: int
    known: npt.NDArray[np.float64]
    missing: npt.NDArray[np.float64]


def videos_of(data: Path) -> list[Sample]:
    """Return the labelled everyday videos of `data/videos/manifest.csv`."""
    found = read_manifest(data / "videos" / "manifest.csv", check_files=False)
    return [sample for sample in found if sample.split == "validation" and sample.label]


def embed(tagger: Tagger, videos: Sequence[Sample]) -> tuple[Case, float]:
    """Embed the videos; also return the processor milliseconds of each, decoding included."""
    vectors = []
    started = time.process_time()
    for video in videos:
        with video.path.open("rb") as file:
            vectors.append(tagger.embed(file)[1])
    spent = (time.process_time() - started) / len(videos)
    return Case(np.stack(vectors), tuple(video.label for video in videos)), 1000 * spent


def examine(tagger: Tagger, case: Case) -> tuple[Everyday, Firsts]:
    """Tag all videos with all labels and with small sets."""
    prototypes = prototypes_of(tagger, case.labels)
    ranked, own = rankings(tagger, case, prototypes)
    firsts = _firsts(tagger, case, prototypes)
    sure = firsts.scores >= _SURE
    intervals = {k: accuracy_interval(hits_at(ranked, own, k), own) for k in (1, 5)}
    top1, top5 = ((i.value, i.low, i.high) for i in intervals.values())
    return Everyday(
        len(own),
        len(prototypes),
        top1,
        top5,
        int(sure.sum()),
        float(firsts.right[sure].mean()) if sure.any() else float("nan"),
        reliability(firsts.scores, firsts.right).error,
        auroc(firsts.missing, firsts.known),
        firsts.over_one,
    ), firsts


def prototypes_of(tagger: Tagger, labels: Sequence[str]) -> dict[str, Prototypes]:
    """The vectors of the distinct labels, in alphabetical order."""
    names = sorted(set(labels))
    return dict(zip(names, tagger.prototypes([Label(name) for name in names]), strict=True))


def rankings(
    tagger: Tagger, case: Case, prototypes: Mapping[str, Prototypes]
) -> tuple[Vectors, Ints]:
    """How well each of C labels fits each of N videos, (N, C), and the right columns, (N,)."""
    columns = {name: column for column, name in enumerate(prototypes)}
    vectors = np.concatenate([each.vectors[:1] for each in prototypes.values()])
    level, spread = tagger.calibration.background_of(vectors).T
    own = np.array([columns[label] for label in case.labels])
    return (case.embeddings @ vectors.T - level) / spread, own


def _firsts(tagger: Tagger, case: Case, prototypes: Mapping[str, Prototypes]) -> Firsts:
    names, draw = sorted(prototypes), random.Random(3)
    dim = tagger.encoder.dim

    def index_of(some: Sequence[str]) -> LabelIndex:
        return LabelIndex.build([(name, prototypes[name]) for name in some], dim)

    every = index_of(names)
    scores: list[float] = []
    predicted: list[str] = []
    known: list[float] = []
    missing: list[float] = []
    over = 0
    for embedding, own in zip(case.embeddings, case.labels, strict=True):
        [first], unknown = tagger.tag_embedding(embedding, every, top_k=1)
        scores.append(first.score)
        predicted.append(first.label)
        over += first.score + unknown.score > 1 + 1e-6
        others = [name for name in names if name != own]
        for _ in range(_DRAWS):
            wrong = draw.sample(others, _SET_SIZE)
            for some, into in (([*wrong[:-1], own], known), (wrong, missing)):
                into.append(tagger.tag_embedding(embedding, index_of(some), top_k=1)[1].score)
    return Firsts(
        np.array(scores),
        np.array([a == b for a, b in zip(predicted, case.labels, strict=True)]),
        tuple(predicted),
        over,
        np.array(known),
        np.array(missing),
    )


def ablations(tagger: Tagger) -> dict[str, Tagger]:
    """The tagger without parts of its checkpoint."""
    found = {"as served": tagger}
    if tagger.knowledge is not None:
        alone = {"evidence alone": 0.0, "linear layer alone": 1e6}
        for name, share in alone.items():
            found[name] = replace(tagger, knowledge=replace(tagger.knowledge, direct_share=share))
    calibration = tagger.calibration
    plain = replace(calibration.config, nearest_share=0.0)
    found["without the handicap of seen labels"] = replace(
        tagger, calibration=replace(calibration, config=plain)
    )
    found["without reference actions"] = replace(
        tagger, calibration=replace(calibration, reference=calibration.reference[:0])
    )
    return found


def curve(
    tagger: Tagger, videos: Sequence[Sample]
) -> dict[tuple[int, int], tuple[Everyday, float]]:
    """Figures and processor milliseconds a video for other sizes and numbers of frames."""
    found = {}
    for side, frames in _CURVE:
        changed = replace(
            tagger,
            preprocess=replace(tagger.preprocess, short_side=side, crop_side=side),
            sampling=replace(tagger.sampling, frames_per_clip=frames),
        )
        case, milliseconds = embed(changed, videos)
        found[side, frames] = examine(changed, case)[0], milliseconds
        print(row_of(f"{side} px, {frames} frames", found[side, frames][0], milliseconds))
    return found


def row_of(name: str, found: Everyday, milliseconds: float | None = None) -> str:
    """A row of the table that is printed."""
    cost = "" if milliseconds is None else f"{milliseconds:.0f} ms"
    return (
        f"| {name} | {_percent(found.top1)} | {_percent(found.top5)} | "
        f"{found.sure_right:.2f} of {found.sure} | {found.calibration_error:.3f} | "
        f"{found.unknown_auroc:.3f} | {found.over_one} | {cost} |"
    )


def attractors(case: Case, firsts: Firsts, most: int = 20) -> list[tuple[str, int, int]]:
    """Labels that come first most often where they are wrong: name, wrong, and all firsts."""
    every = Counter(firsts.predicted)
    wrong = Counter(p for p, r in zip(firsts.predicted, firsts.right, strict=True) if not r)
    return [(name, count, every[name]) for name, count in wrong.most_common(most)]


def _percent(figure: tuple[float, float, float]) -> str:
    value, low, high = (100 * part for part in figure)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def main() -> None:
    """Measure, print a table and one JSON line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("data", type=Path)
    options.add_argument("--checkpoint", type=Path, default=FOLDER)
    options.add_argument("--curve", action="store_true", help="also other sizes and frames")
    options.add_argument("--report", type=Path, help="folder for everyday.html")
    given = options.parse_args()
    tagger = load_checkpoint(given.checkpoint)
    videos = videos_of(given.data)
    case, milliseconds = embed(tagger, videos)
    print(
        "| | top-1 | top-5 | sure and right | calibration error | unknown, AUROC | over 1 | cost |"
    )
    print("|---|---|---|---|---|---|---|---|")
    rows = {}
    for name, changed in ablations(tagger).items():
        rows[name], firsts = examine(changed, case)
        print(row_of(name, rows[name], milliseconds if name == "as served" else None))
        if name == "as served":
            served = firsts
    sizes = by_size(tagger, case.embeddings, case.labels)
    examples = taught(tagger, case.embeddings, case.labels)
    for row in (*sizes, *examples):
        print(row)
    points = curve(tagger, videos) if given.curve else {}
    if given.report:
        from benchmarks.accuracy.everyday_report import Findings, write_report

        findings = Findings(case, served, rows, sizes, examples, points)
        write_report(given.report, tagger, findings)
    print(json.dumps({"revision": tagger.revision, **asdict(rows["as served"])}))


if __name__ == "__main__":
    main()
