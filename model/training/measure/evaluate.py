"""Evaluate a checkpoint on classes that its training never saw.

    kinolex evaluate CHECKPOINT --layout ucf101=UCF101/ --data MANIFEST.csv --out report/

Every figure is measured twice: by raw cosine, and as served, by similarity standardised over the
checkpoint's background bank.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from model.checkpoint import find_checkpoint, load_checkpoint, read_config
from model.tagger import Tagger
from model.training.data.manifest import Sample
from model.training.data.readers import read_frames
from model.training.lineage import first_run
from model.training.measure.embedding_map import EmbeddingMap, embedding_map
from model.training.measure.figures import (
    RAW,
    SERVED,
    ClassRow,
    Figures,
    Together,
    Words,
    class_rows,
    familiar_labels,
    figures_of,
    together,
    words_of,
)
from model.training.measure.intervals import Interval, accuracy_interval
from model.training.measure.metrics import (
    Confusion,
    Floats,
    Reliability,
    confusions,
    hits_at,
    reliability,
)
from model.training.measure.protocols import best_similarity
from model.training.measure.sample_embeddings import Embedded, embed_readable
from model.training.measure.served_scores import served_scores
from model.training.measure.suites import Suite, plan_suites
from model.training.progress import Progress, no_progress
from model.training.resources import Log
from model.training.words.held_out import HeldOut, read_held_out
from model.training.words.overlap_review import review
from model.training.words.text_bank import imagenet_names
from model.video.sampling import SamplingConfig

_MAX_CONFUSIONS = 15
_PICTURE_SIDE = 144
_MAP_CLIPS = 12  # of each label: more make the map slow to compute and hard to read


# entries of the provenance of weights that other projects trained
_FOREIGN = frozenset({"imported_from", "converted_from"})


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """Further figures for an evaluation to measure, and the callables for progress and log.

    `clips` are further numbers of clips of each video to measure (the paper: 1 and 25);
    `with_pictures` includes pictures of clips in the report.
    """

    clips: tuple[int, ...] = ()
    with_pictures: bool = False
    progress: Progress = no_progress
    log: Log = print


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """All figures of one data set.

    `figures` and `together` are by kind of similarity (`raw`, `served`), `together` is empty
    without samples of seen classes; `by_clips` repeats top-1 as served with other numbers of clips.
    `are_stills` is true when all unseen samples are still pictures, whose clips are all the same.
    `pictures` maps each unseen label to its nearest clip's picture as a data URI, if requested.
    """

    name: str
    broken: tuple[str, ...]
    figures: Mapping[str, Figures]
    together: Mapping[str, Together]
    by_clips: Mapping[int, Interval]
    are_stills: bool
    reliability: Reliability
    classes: tuple[ClassRow, ...]
    confusions: tuple[Confusion, ...]
    map: EmbeddingMap
    pictures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation of one checkpoint, largest suite first.

    `held_out` names the split of unseen classes, or is empty for the manifest's own split;
    `left_out` lists data sets that could not be tested, with the reason.
    """

    model_id: str
    revision: str
    held_out: str
    suites: tuple[SuiteReport, ...]
    left_out: tuple[str, ...]


def evaluate(
    checkpoint: str | Path,
    samples: Sequence[Sample],
    options: EvaluationOptions,
    *,
    held_out: str | None = None,
    device: str = "cpu",
) -> Report:
    """Evaluate a checkpoint on labelled samples.

    The unseen classes are those of the split `held_out` (a name in `splits/` or a path), by default
    the split that the checkpoint was trained with; with an empty name the samples' `split` decides.
    A checkpoint that was imported or converted was not trained on samples of the split `train`,
    which are left out then. Raises CheckpointError, and ValueError when there is nothing to test.
    """
    tagger = load_checkpoint(checkpoint, device=device)
    provenance = read_config(find_checkpoint(checkpoint)).provenance
    run = first_run(provenance)
    held_out = str(run.get("held_out", "")) if held_out is None else held_out
    if not _FOREIGN.isdisjoint(provenance) and not held_out:
        samples = [sample for sample in samples if sample.split != "train"]
    return examine(
        tagger,
        samples,
        read_held_out(held_out),
        options,
        held_out_name=held_out,
        familiar=imagenet_names() if run.get("init") == "imagenet" else (),
    )


def examine(
    tagger: Tagger,
    samples: Sequence[Sample],
    held_out: HeldOut,
    options: EvaluationOptions,
    *,
    held_out_name: str = "",
    familiar: Sequence[str] = (),
) -> Report:
    """Evaluate a loaded checkpoint; `familiar` are the class names of its pretraining.

    Raises ValueError when no data set has two unseen test classes.
    """
    overlaps = review(samples, held_out, tagger.text).overlaps if held_out.names else ()
    suites, left_out = plan_suites(samples, held_out, frozenset(o.text for o in overlaps))
    if not suites:
        reasons = "; ".join(left_out) or "no test rows"
        raise ValueError(f"no data set has two unseen classes to test: {reasons}")
    reports = []
    for suite in suites:
        options.log(
            f"{suite.name}: {len(suite.test)} samples of {len(suite.classes)} unseen classes, "
            f"{len(suite.known)} of {len(suite.seen)} seen classes"
        )
        reports.append(_examine_suite(tagger, suite, familiar, options))
    return Report(tagger.model_id, tagger.revision, held_out_name, tuple(reports), tuple(left_out))


def _examine_suite(
    tagger: Tagger,
    suite: Suite,
    pretraining: Sequence[str],
    options: EvaluationOptions,
) -> SuiteReport:
    everything = words_of(tagger, suite.labels)
    embedded = embed_readable(
        tagger, (*suite.test, *suite.validation, *suite.known), options.progress
    )
    test, validation, known = (
        embedded.select(set(part).__contains__)
        for part in (suite.test, suite.validation, suite.known)
    )
    familiar = familiar_labels(suite.classes, pretraining, tagger.text)
    words = everything.only(suite.classes)
    targets = words.targets(test.samples)
    by_kind = words.similarities(test.vectors)
    served = by_kind[SERVED]
    scores = served_scores(tagger.calibration, test.vectors, served).first

    def as_served(standardised: Floats) -> Floats:
        return -served_scores(tagger.calibration, test.vectors, standardised).unknown

    return SuiteReport(
        name=suite.name,
        broken=tuple(f"{b.sample.path.name} {b.sample.member} {b.reason}" for b in embedded.broken),
        figures={
            kind: figures_of(
                similarities,
                targets,
                words.labels,
                familiar,
                knownness=as_served if kind == SERVED else best_similarity,
            )
            for kind, similarities in by_kind.items()
        },
        together={
            kind: together(
                kind,
                everything,
                suite.seen,
                test,
                known,
                validation,
                known_were_trained=suite.known_were_trained,
            )
            for kind in (RAW, SERVED)
            if known.samples
        },
        by_clips=_by_clips(tagger, suite, words, options),
        are_stills=_are_stills(suite),
        reliability=reliability(scores, hits_at(served, targets, 1)),
        classes=class_rows(served, targets, words.labels, familiar),
        confusions=tuple(confusions(served, targets, words.labels, _MAX_CONFUSIONS)),
        map=_map(suite, everything, test, known),
        pictures=_pictures(words, test) if options.with_pictures else {},
    )


def _by_clips(
    tagger: Tagger, suite: Suite, words: Words, options: EvaluationOptions
) -> dict[int, Interval]:
    """Measure top-1 as served with other numbers of clips; empty for still pictures."""
    if _are_stills(suite):
        return {}
    intervals = {}
    for count in options.clips:
        embedded = embed_readable(tagger, suite.test, options.progress, clips=count)
        targets = words.targets(embedded.samples)
        served = words.similarities(embedded.vectors)[SERVED]
        intervals[count] = accuracy_interval(hits_at(served, targets, 1), targets)
    return intervals


def _are_stills(suite: Suite) -> bool:
    return all(sample.is_picture for sample in suite.test)


def _map(suite: Suite, words: Words, test: Embedded, known: Embedded) -> EmbeddingMap:
    """Map the labels that have clips, a few clips of each, and each label's nearest clip."""
    vectors = np.concatenate([test.vectors, known.vectors])
    samples = (*test.samples, *known.samples)
    few: dict[str, list[int]] = {}
    for row, sample in enumerate(samples):
        of_label = few.setdefault(sample.label, [])
        if len(of_label) < _MAP_CLIPS:
            of_label.append(row)
    shown = words.only(sorted(few))
    nearest = (shown.vectors @ vectors.T).argmax(axis=1).tolist()
    rows = sorted({*nearest, *(row for of_label in few.values() for row in of_label)})
    return embedding_map(
        vectors[rows],
        [samples[row].member or samples[row].path.name for row in rows],
        [samples[row].label for row in rows],
        shown.vectors,
        shown.labels,
        suite.seen,
    )


def _pictures(words: Words, test: Embedded) -> dict[str, str]:
    """Encode the middle frame of the clip nearest to each label as a data URI."""
    nearest = (words.vectors @ test.vectors.T).argmax(axis=1).tolist()
    pictures = {}
    for label, row in zip(words.labels, nearest, strict=True):
        frames = read_frames(test.samples[row], SamplingConfig(1, 1), _PICTURE_SIDE)
        file = io.BytesIO()
        Image.fromarray(frames[0]).save(file, "JPEG", quality=80)
        encoded = base64.b64encode(file.getvalue()).decode()
        pictures[label] = f"data:image/jpeg;base64,{encoded}"
    return pictures
