"""Accuracy with and without example videos of a label, on real clips and pictures.

    python -m benchmarks.accuracy.teach_by_example [--data ../shared/data]

Every class of a suite gets k examples, chosen at random, and its other samples are classified; the
labels are the classes of the suite. The index is built and searched as the service does. This is
repeated with other examples, and with other weights than the one of the service. `untaught` is the
accuracy of the labels without examples when half of the labels have some.

The suites of clips (gestures, exercises, fights) are real clips that the default checkpoint was
trained on, with these names, so that examples can add little. The suites of pictures have classes
that were not in its training. Consecutive clips of fights share scenes: their examples come from
the first half of the clips, the classified clips from the second. The last line is JSON.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness.paths import SHARED_DATA
from model import Label, LabelIndex, Prototypes, Tagger, load_checkpoint
from model.checkpoint import DEFAULT_CHECKPOINT, read_config
from model.examples import TEXT_WEIGHT, blend
from model.training.data.manifest import Sample, read_manifest
from model.training.measure.intervals import paired_difference
from model.training.measure.sample_embeddings import embed_readable
from model.training.words.held_out import read_held_out

_COUNTS = (1, 2, 5, 10)
_TEXT_WEIGHTS = (1.0, 2.0, 4.0, 8.0)
_MAX_ASKED = 20  # of a class in a trial, so that 300 clips of two classes do not take all the time
_SCENES = "fights"


@dataclass(frozen=True)
class Suite:
    """(N, dim) embeddings, the class of each, and the vectors of the classes' words."""

    name: str
    vectors: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    words: Mapping[str, Prototypes]


@dataclass(frozen=True)
class Trial:
    """Rows of the examples by class, and rows that are classified."""

    examples: Mapping[str, npt.NDArray[np.int64]]
    asked: npt.NDArray[np.int64]


def read_suites(data: Path, tagger: Tagger, pictures: int) -> Iterator[Suite]:
    """Read the suites of ../shared/data, with at most `pictures` pictures of a class."""
    clips = [s for s in read_manifest(data / "videos" / "manifest.csv") if s.split == "train"]
    by_suite = {
        "gestures": [s for s in clips if s.dataset == "smarthome_gesture"],
        "exercises": [s for s in clips if s.dataset.startswith("ex_")],
        _SCENES: [s for s in clips if s.dataset == "fight_surv"],
    }
    run = read_config(DEFAULT_CHECKPOINT).provenance["run"]
    held_out = read_held_out(run["held_out"])
    by_class: dict[str, list[Sample]] = defaultdict(list)
    for sample in read_manifest(data / "pictures" / "manifest.csv"):
        by_class[sample.label].append(sample)
    for name, classes in (("validation", held_out.validation), ("test", held_out.test)):
        by_suite[f"unseen pictures, {name}"] = [
            sample for each in classes for sample in by_class[each][:pictures]
        ]
    for name, samples in by_suite.items():
        embedded = embed_readable(tagger, sorted(samples, key=lambda s: (str(s.path), s.member)))
        classes = tuple(sample.label for sample in embedded.samples)
        names = sorted(set(classes))
        made = tagger.prototypes([Label(each) for each in names])
        yield Suite(name, embedded.vectors, classes, dict(zip(names, made, strict=True)))


def choose(suite: Suite, count: int, seed: int, share: float = 1.0) -> Trial:
    """Choose `count` examples for a `share` of the classes that have more samples than that."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(suite.classes):
        rows[name].append(row)
    enough = [name for name, found in rows.items() if len(found) > count]
    taught = rng.permutation(sorted(enough))[: round(share * len(enough))]
    examples: dict[str, npt.NDArray[np.int64]] = {}
    asked: list[int] = []
    for name in sorted(enough):
        found = rows[name]
        if suite.name == _SCENES:
            order, rest = (rng.permutation(half) for half in np.array_split(found, 2))
        else:
            order = rng.permutation(found)
            rest = order[count:]
        if name in taught:
            examples[name] = order[:count]
        asked.extend(rest[:_MAX_ASKED])
    return Trial(examples, np.array(asked))


def right(
    suite: Suite, trial: Trial, tagger: Tagger, words_count: float | None
) -> npt.NDArray[np.bool_]:
    """Which rows get the right label; `words_count` None means without examples."""
    labels = dict(suite.words)
    centre = tagger.calibration.bank.mean(axis=0)
    for name, rows in trial.examples.items():
        if words_count is None:
            break
        found = suite.words[name]
        weight = len(rows) / (len(rows) + words_count)
        vectors = blend(found.vectors, suite.vectors[rows], centre, weight)
        background = tagger.calibration.background_of(vectors)
        labels[name] = Prototypes(found.texts, vectors, background)
    index = LabelIndex.build(labels.items(), tagger.encoder.dim)
    hits = index.search(suite.vectors[trial.asked], 1)
    return np.array(
        [found.name == suite.classes[row] for row, [found] in zip(trial.asked, hits, strict=True)]
    )


def measure(suite: Suite, count: int, tagger: Tagger, trials: int) -> dict[str, object] | None:
    """Mean accuracies over the classes, in per cent, and the served gain's 95 % interval."""
    chosen = [choose(suite, count, seed) for seed in range(trials)]
    if len(chosen[0].examples) < 2:
        return None
    names = np.concatenate([[suite.classes[row] for row in trial.asked] for trial in chosen])
    _, targets = np.unique(names, return_inverse=True)
    outcomes = {
        each: np.concatenate([right(suite, trial, tagger, each) for trial in chosen])
        for each in (None, *_TEXT_WEIGHTS)
    }
    gain = paired_difference(outcomes[TEXT_WEIGHT], outcomes[None], targets).interval
    halves = [choose(suite, count, seed, share=0.5) for seed in range(trials)]
    untaught = [untaught_accuracy(suite, trial, tagger) for trial in halves]
    return {
        "suite": suite.name,
        "classes": int(targets.max()) + 1,
        "labels": len(suite.words),
        "examples": count,
        "words": _per_cent(class_mean(outcomes[None], targets)),
        "taught": {each: _per_cent(class_mean(outcomes[each], targets)) for each in _TEXT_WEIGHTS},
        "gain": [_per_cent(each) for each in (gain.value, gain.low, gain.high)],
        "untaught": [_per_cent(each) for each in np.mean(untaught, axis=0)],
    }


def untaught_accuracy(suite: Suite, trial: Trial, tagger: Tagger) -> tuple[float, float]:
    """Accuracy of the classes without examples, before and after the others get some."""
    kept = np.array([suite.classes[row] not in trial.examples for row in trial.asked])
    before, after = (right(suite, trial, tagger, each) for each in (None, TEXT_WEIGHT))
    return float(before[kept].mean()), float(after[kept].mean())


def class_mean(values: npt.NDArray[np.bool_], targets: npt.NDArray[np.int64]) -> float:
    """The mean over classes of each class's mean."""
    return float(np.mean(np.bincount(targets, values) / np.bincount(targets)))


def _per_cent(value: float) -> float:
    return round(100 * float(value), 1)


def _row(row: Mapping[str, object]) -> str:
    low, high = row["gain"][1:]  # type: ignore[index]  # a list of three, see `measure`
    served = row["taught"][TEXT_WEIGHT]  # type: ignore[index]  # by weight, see `measure`
    return (
        f"{row['suite']!s:28} k={row['examples']!s:3} {row['classes']!s:>4} of {row['labels']!s:3} "
        f"words {row['words']:5} taught {served:5} gain [{low}, {high}]  "
        f"by words count {row['taught']}  untaught {row['untaught']}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument(
        "--pictures", type=int, default=60, help="maximum number of pictures of a class"
    )
    options = parser.parse_args(arguments)
    tagger = load_checkpoint()
    rows = []
    for suite in read_suites(options.data, tagger, options.pictures):
        for count in _COUNTS:
            row = measure(suite, count, tagger, options.trials)
            if row is not None:
                rows.append(row)
                print(_row(row), flush=True)
    print(json.dumps({"model": tagger.model_id, "revision": tagger.revision, "rows": rows}))


if __name__ == "__main__":
    main()
