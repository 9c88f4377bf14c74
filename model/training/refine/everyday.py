"""Scores that are fitted on everyday videos, and the figures on these.

The videos are in the bank that levels and spreads come from. To be fitted and measured like videos
that are not, each half of them is compared by the levels of a bank without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.calibration import Calibration, CalibrationConfig
from model.text.labels import Label
from model.text.text_encoder import TextEncoder
from model.training.calibrate import fit
from model.training.data.manifest import Sample
from model.training.features import Vectors
from model.training.measure.intervals import accuracy_interval
from model.training.measure.metrics import Floats, Ints, hits_at
from model.training.refine.parts import Parts
from model.training.refine.settings import RefineSettings

_HALVES = 2


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class EverydaySimilarities:
    """Standardised similarities of N everyday videos to their C labels and A reference actions.

    `own` (N,) is each video's label, `half` (N,) the half that it belongs to.
    """

    labels: tuple[str, ...]
    to_labels: Floats
    to_references: Floats
    own: Ints
    half: Ints


def everyday_similarities(
    parts: Parts,
    everyday: Sequence[Sample],
    embeddings: Vectors,
    text: TextEncoder,
    settings: RefineSettings,
) -> EverydaySimilarities:
    """Compare everyday videos, whose (N, dim) `embeddings` begin the parts' bank, with labels."""
    names = sorted({sample.label for sample in everyday})
    # alternately, so that neighbours in the manifest, which often are of one source, are divided
    half = np.arange(len(everyday)) % _HALVES
    to_labels = np.empty((len(everyday), len(names)), np.float32)
    to_references = np.empty((len(everyday), len(parts.reference)), np.float32)
    rest = parts.bank[len(everyday) :]
    for each in range(_HALVES):
        bank = np.concatenate([embeddings[half != each], rest])
        tagger = parts.tagger(text, settings, bank)
        prototypes = tagger.prototypes([Label(name) for name in names])
        vectors = np.concatenate([found.vectors[:1] for found in prototypes])
        rows = half == each
        to_labels[rows] = _standardised(embeddings[rows], vectors, tagger.calibration)
        to_references[rows] = _standardised(
            embeddings[rows], tagger.calibration.reference, tagger.calibration
        )
    own = np.array([names.index(sample.label) for sample in everyday], np.int64)
    return EverydaySimilarities(tuple(names), to_labels, to_references, own, half)


def _standardised(embeddings: Vectors, vectors: Vectors, calibration: Calibration) -> Floats:
    level, spread = calibration.background_of(vectors).T
    standardised: Floats = (embeddings @ vectors.T - level) / spread
    return standardised


def fit_everyday_scores(found: EverydaySimilarities, settings: RefineSettings) -> CalibrationConfig:
    """Fit scores and unknown on all everyday videos."""
    return fit(
        found.to_labels,
        found.own,
        found.to_references,
        fitted_on=f"{len(found.own)} everyday videos with {len(found.labels)} labels",
        nearest_share=settings.nearest_share,
        seed=settings.seed,
    )


def everyday_figures(found: EverydaySimilarities) -> Mapping[str, Any]:
    """Measure top-1 and top-5 among all labels: lists [value, low, high] of shares 0..1.

    Intervals (95 %) are by bootstrap over labels.
    """
    figures: dict[str, Any] = {"classes": len(found.labels), "samples": len(found.own)}
    for k in (1, 5):
        share = accuracy_interval(hits_at(found.to_labels, found.own, k), found.own)
        figures[f"top{k}"] = [round(each, 4) for each in (share.value, share.low, share.high)]
    return figures
