"""Examine a checkpoint on classes that its training never saw.

    kinolex evaluate CHECKPOINT --data MANIFEST.csv --out report/

Every figure comes twice: by raw cosine, and as served, by similarity standardised over the
checkpoint's background bank.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from model.checkpoint import load_checkpoint, read_config
from model.tagger import Tagger
from model.training.data.manifest import Sample, read_manifest
from model.training.data.readers import read_frames
from model.training.lineage import first_run
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
from model.training.measure.maps import EmbeddingMap, embedding_map
from model.training.measure.metrics import Confusion, Reliability, confusions, hits_at, reliability
from model.training.measure.sample_embeddings import Embedded, embed_readable
from model.training.measure.suites import Suite, plan_suites
from model.training.progress import Progress, no_progress
from model.training.words.texts import HeldOut, imagenet_names, read_held_out, without_overlap
from model.video.sampling import SamplingConfig

_MOST_CONFUSIONS = 15
_PICTURE_SIDE = 144
_MAP_CLIPS = 12  # of each label: more make the map slow to draw and hard to read


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """All figures of one data set.

    `figures` and `together` are by way of ranking (`raw`, `served`), `together` empty where no
    seen samples are at hand; `by_clips` repeats top-1 as served with other numbers of clips.
    `are_stills` says that all unseen samples are still pictures, whose clips are all the same.
    `pictures` holds the clip nearest to each unseen label as a data URI, where they were asked for.
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

    `held_out` names the split that said which classes are unseen, or is empty; `left_out` says
    which data sets could not be asked.
    """

    model_id: str
    revision: str
    held_out: str
    suites: tuple[SuiteReport, ...]
    left_out: tuple[str, ...]


def evaluate(
    checkpoint: str | Path,
    manifests: Sequence[Path],
    *,
    held_out: str | None = None,
    clips: Sequence[int] = (),
    with_pictures: bool = False,
    device: str = "cpu",
    progress: Progress = no_progress,
    say: Callable[[str], None] = print,
) -> Report:
    """Examine a checkpoint on manifests.

    The classes to ask are those of the split `held_out` (a name in `splits/` or a path), by
    default the one that the checkpoint was trained with; with an empty name the manifest's
    `split` column decides. `clips` are further numbers of clips to try on videos (the paper: 1
    and 25); `with_pictures` takes pictures of clips into the report. Raises CheckpointError,
    ManifestError, and ValueError when there is nothing to ask.
    """
    tagger = load_checkpoint(checkpoint, device=device)
    directory = Path(checkpoint)
    run = first_run(read_config(directory).provenance if directory.is_dir() else {})
    held_out = str(run.get("held_out", "")) if held_out is None else held_out
    return examine(
        tagger,
        [sample for manifest in manifests for sample in read_manifest(manifest)],
        read_held_out(held_out),
        held_out_name=held_out,
        familiar=imagenet_names() if run.get("init") == "imagenet" else (),
        clips=clips,
        with_pictures=with_pictures,
        progress=progress,
        say=say,
    )


def examine(
    tagger: Tagger,
    samples: Sequence[Sample],
    held_out: HeldOut,
    *,
    held_out_name: str = "",
    familiar: Sequence[str] = (),
    clips: Sequence[int] = (),
    with_pictures: bool = False,
    progress: Progress = no_progress,
    say: Callable[[str], None] = print,
) -> Report:
    """Examine a loaded checkpoint; `familiar` are the class names of its pretraining.

    Raises ValueError when no data set has two unseen test classes.
    """
    _, overlaps = without_overlap(samples, held_out, tagger.text)
    suites, left_out = plan_suites(samples, held_out, frozenset(o.text for o in overlaps))
    if not suites:
        reasons = "; ".join(left_out) or "no test rows"
        raise ValueError(f"no data set has two unseen classes to test: {reasons}")
    reports = []
    for suite in suites:
        say(
            f"{suite.name}: {len(suite.test)} samples of {len(suite.classes)} unseen classes, "
            f"{len(suite.known)} of {len(suite.seen)} seen ones"
        )
        reports.append(_examine_suite(tagger, suite, familiar, clips, with_pictures, progress))
    return Report(tagger.model_id, tagger.revision, held_out_name, tuple(reports), tuple(left_out))


def _examine_suite(
    tagger: Tagger,
    suite: Suite,
    pretraining: Sequence[str],
    clips: Sequence[int],
    with_pictures: bool,
    progress: Progress,
) -> SuiteReport:
    everything = words_of(tagger, suite.labels)
    embedded = embed_readable(tagger, (*suite.test, *suite.validation, *suite.known), progress)
    test, validation, known = (
        embedded.select(set(part).__contains__)
        for part in (suite.test, suite.validation, suite.known)
    )
    familiar = familiar_labels(suite.classes, pretraining, tagger.text)
    words = everything.only(suite.classes)
    targets = words.targets(test.samples)
    by_kind = words.similarities(test.vectors)
    served = by_kind[SERVED]
    scores = np.array([tagger.calibration.score(float(value)) for value in served.max(axis=1)])
    return SuiteReport(
        name=suite.name,
        broken=tuple(f"{b.sample.path.name} {b.sample.member} {b.reason}" for b in embedded.broken),
        figures={
            kind: figures_of(similarities, targets, words.labels, familiar)
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
        by_clips=_by_clips(tagger, suite, words, clips, progress),
        are_stills=_are_stills(suite),
        reliability=reliability(scores, hits_at(served, targets, 1)),
        classes=class_rows(served, targets, words.labels, familiar),
        confusions=tuple(confusions(served, targets, words.labels, _MOST_CONFUSIONS)),
        map=_map(suite, everything, test, known),
        pictures=_pictures(words, test) if with_pictures else {},
    )


def _by_clips(
    tagger: Tagger, suite: Suite, words: Words, clips: Sequence[int], progress: Progress
) -> dict[int, Interval]:
    """Top-1 as served with other numbers of clips; nothing for still pictures."""
    if _are_stills(suite):
        return {}
    intervals = {}
    for count in clips:
        embedded = embed_readable(tagger, suite.test, progress, clips=count)
        targets = words.targets(embedded.samples)
        served = words.similarities(embedded.vectors)[SERVED]
        intervals[count] = accuracy_interval(hits_at(served, targets, 1), targets)
    return intervals


def _are_stills(suite: Suite) -> bool:
    return all(sample.is_picture for sample in suite.test)


def _map(suite: Suite, words: Words, test: Embedded, known: Embedded) -> EmbeddingMap:
    """A map of the labels that have clips, with a few clips of each and each one's nearest."""
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
    """The middle frame of the clip nearest to each label, as a data URI."""
    nearest = (words.vectors @ test.vectors.T).argmax(axis=1).tolist()
    pictures = {}
    for label, row in zip(words.labels, nearest, strict=True):
        frames = read_frames(test.samples[row], SamplingConfig(1, 1), _PICTURE_SIDE)
        file = io.BytesIO()
        Image.fromarray(frames[0]).save(file, "JPEG", quality=80)
        encoded = base64.b64encode(file.getvalue()).decode()
        pictures[label] = f"data:image/jpeg;base64,{encoded}"
    return pictures
