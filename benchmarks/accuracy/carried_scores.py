"""Do scores carry over between checkpoints? `python -m benchmarks.accuracy.carried_scores DATA`.

DATA holds `videos/manifest.csv`. Its labelled videos with the split `validation` are tagged with
all their labels by two checkpoints, `--checkpoint` and `--other`. Each is measured with its own fit
and with that of the other, over a bank of unlabelled videos of the split `train`, as `kinolex
checkpoint import --videos` does, and without a bank. Prints a table, the spreads that a carried fit
without a bank rests on, and one JSON line. All parameters were fitted on the videos that are
measured, so that an own fit is flattered; a carried one saw them through the other network only.
`--cache FOLDER` keeps the embeddings.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.everyday import Case, embed, examine, row_of, videos_of
from benchmarks.harness.checkpoint import FOLDER
from model import Label, Tagger, load_checkpoint
from model.calibration import Calibration, CalibrationConfig
from model.training.calibrate import fit
from model.training.convert.carried_scores import (
    VIDEO_TO_TEXT,
    text_spread,
    video_spread,
    without_bank,
)
from model.training.data.manifest import read_manifest
from model.training.knowledge.knowledge_files import read_actions

Vectors = npt.NDArray[np.float32]
_UNLABELLED = 200


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Subject:
    """A checkpoint with everything that its scores are computed from."""

    tagger: Tagger
    case: Case
    bank: Vectors
    reference: Vectors

    def with_calibration(self, config: CalibrationConfig, bank: Vectors) -> Tagger:
        """The tagger with other parameters and another bank."""
        return replace(self.tagger, calibration=Calibration(config, bank, self.reference))

    def own_fit(self) -> CalibrationConfig:
        """Fit parameters on the videos, standardised by the bank of unlabelled videos."""
        share = self.tagger.calibration.config.nearest_share
        calibration = Calibration(CalibrationConfig(nearest_share=share), self.bank)
        names = sorted(set(self.case.labels))
        made = self.tagger.prototypes([Label(name) for name in names])
        vectors = np.concatenate([each.vectors[:1] for each in made])
        own = np.array([names.index(label) for label in self.case.labels])
        to_labels, to_references = (
            (self.case.embeddings @ each.T - level) / spread
            for each in (vectors, self.reference)
            for level, spread in [calibration.background_of(each).T]
        )
        return fit(to_labels, own, to_references, nearest_share=share)


def subject_of(checkpoint: Path, data: Path, cache: Path | None) -> Subject:
    """Load a checkpoint; embed the videos, or take their embeddings from the cache."""
    tagger = load_checkpoint(checkpoint)
    stored = cache / f"{tagger.revision}.npz" if cache else None
    if stored and stored.exists():
        found = np.load(stored)
        case, bank = Case(found["videos"], tuple(found["labels"].tolist())), found["bank"]
    else:
        case, _ = embed(tagger, videos_of(data))
        every = read_manifest(data / "videos" / "manifest.csv", check_files=False)
        train = [sample for sample in every if sample.split == "train"]
        rows = np.random.default_rng(0).choice(len(train), _UNLABELLED, replace=False)
        bank = embed(tagger, [train[row] for row in rows])[0].embeddings
        if stored:
            stored.parent.mkdir(parents=True, exist_ok=True)
            np.savez(stored, videos=case.embeddings, labels=np.array(case.labels), bank=bank)
    made = tagger.prototypes([Label(name) for name in read_actions()])
    return Subject(tagger, case, bank, np.concatenate([each.vectors for each in made]))


def ratio_of(subject: Subject) -> float:
    """Spread of similarities to videos, divided by that of similarities between texts."""
    return video_spread(subject.reference, subject.bank) / text_spread(subject.reference)


def rows_of(subject: Subject, carried: CalibrationConfig, other: str) -> Mapping[str, Tagger]:
    """The tagger with the scores that are compared."""
    name, own = subject.tagger.model_id, subject.tagger.calibration
    none = np.empty((0, subject.tagger.dim), np.float32)
    found = {
        f"{name}, as served": replace(subject.tagger, calibration=own),
        f"{name}, own fit, unlabelled bank": subject.with_calibration(
            subject.own_fit(), subject.bank
        ),
        f"{name}, fit of {other}, unlabelled bank": subject.with_calibration(carried, subject.bank),
    }
    # knowledge needs a bank
    if subject.tagger.knowledge is None:
        spread = VIDEO_TO_TEXT * text_spread(subject.reference)
        found[f"{name}, fit of {other}, no bank"] = subject.with_calibration(
            without_bank(carried, spread), none
        )
    return found


def main() -> None:
    """Measure, print a table and one JSON line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("data", type=Path)
    options.add_argument("--checkpoint", type=Path, default=FOLDER)
    options.add_argument("--other", type=Path, required=True)
    options.add_argument("--cache", type=Path)
    given = options.parse_args()
    first, second = (
        subject_of(path, given.data, given.cache) for path in (given.checkpoint, given.other)
    )
    figures = {}
    print(
        "| | top-1 | top-5 | sure and right | calibration error | unknown, AUROC | over 1 | cost |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for subject, other in ((first, second), (second, first)):
        for name, tagger in rows_of(subject, other.own_fit(), other.tagger.model_id).items():
            figures[name] = examine(tagger, subject.case)[0]
            print(row_of(name, figures[name]), flush=True)
    for subject in (first, second):
        print(
            f"{subject.tagger.model_id}: spread over texts {text_spread(subject.reference):.4f}, "
            f"over videos {video_spread(subject.reference, subject.bank):.4f}, ratio "
            f"{ratio_of(subject):.3f}"
        )
    print(json.dumps({name: asdict(each) for name, each in figures.items()}))


if __name__ == "__main__":
    main()
