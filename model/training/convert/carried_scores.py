"""Scores of a checkpoint without labelled samples: the default checkpoint's fit, carried over.

The default checkpoint's parameters map standardised similarities to scores. Standardised, the
similarities of two networks mean much the same, so that the parameters fit another network too;
docs/experiments.md says how well. The similarities are standardised

- by level and spread of each label over unlabelled videos, the background bank, where there are
  any;
- else by one spread for all labels: such that the slope is the scale of cosines that the model was
  trained with, or, for a model that does not state it, the spread of the similarities between
  everyday actions, times a ratio of video to text. Their level is unknown then. It cancels out,
  because labels are compared with everyday actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.calibration import Calibration, CalibrationConfig, Vectors
from model.checkpoint import DEFAULT_CHECKPOINT, read_config
from model.errors import VideoError
from model.tagger import Tagger
from model.text.labels import Label
from model.training.knowledge.knowledge_files import read_actions
from model.training.resources import Log

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".ts", ".mpg")
# With fewer, levels and spreads are those of single videos.
MIN_VIDEOS = 16
MAX_VIDEOS = 1024
# Spread of a label's similarities to videos, divided by that to everyday actions, of the last
# checkpoint without knowledge, kinolex-lite2: `python -m benchmarks.accuracy.carried_scores`.
VIDEO_TO_TEXT = 0.84
# Spreads under the similarity of any label: the constant 1 in `none` must not count where the level
# is unknown.
_FAR_BELOW = 10.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scores:
    """Background bank (M, dim), vectors of the reference actions (A, dim), parameters, and a
    sentence for the model card.
    """

    bank: Tensor
    reference: Tensor
    calibration: CalibrationConfig
    sentence: str


def carried_scores(
    tagger: Tagger, videos: Path | None, log: Log, *, scale: float | None = None
) -> Scores:
    """Carry the default checkpoint's fit over to a checkpoint without bank.

    `videos` is a folder of unlabelled videos, at most `MAX_VIDEOS` of which are embedded. `scale`
    is what the model's cosines were multiplied by in training, None where it is not known. Raises
    ValueError where fewer than `MIN_VIDEOS` can be read.
    """
    reference = np.concatenate(
        [made.vectors for made in tagger.prototypes([Label(name) for name in read_actions()])]
    )
    fit = default_fit()
    if videos is None:
        spread = fit.score_slope / scale if scale else VIDEO_TO_TEXT * text_spread(reference)
        return Scores(
            torch.empty(0, tagger.dim),
            torch.from_numpy(reference),
            without_bank(fit, spread),
            "Scores are the default checkpoint's, carried over without a video, with one spread\n"
            "of similarities for all labels. `--videos` gives better ones.",
        )
    bank = embed_folder(tagger, videos, log)
    return Scores(
        torch.from_numpy(bank),
        torch.from_numpy(reference),
        with_bank(fit, len(bank)),
        f"The background bank is {len(bank)} unlabelled videos of {videos.name}/; scores are the\n"
        "default checkpoint's, carried over to similarities that are standardised by it.",
    )


def default_fit() -> CalibrationConfig:
    """Return the parameters of the default checkpoint."""
    return read_config(DEFAULT_CHECKPOINT).calibration


def with_bank(fit: CalibrationConfig, videos: int) -> CalibrationConfig:
    """Carry `fit` over to a checkpoint whose bank is this number of unlabelled videos."""
    return replace(
        fit,
        unknown_false_positive_rate=None,
        fitted_on=f"the default checkpoint's {fit.fitted_on}; the background bank is {videos} "
        "unlabelled videos",
    )


def without_bank(fit: CalibrationConfig, spread: float) -> CalibrationConfig:
    """Carry `fit` over to a checkpoint without bank, with one spread of all labels."""
    slope = fit.score_slope / spread
    shift = fit.score_slope * _FAR_BELOW
    return replace(
        fit,
        score_slope=slope,
        score_bias=fit.score_bias + shift,
        reference_bias=fit.reference_bias + shift,
        unknown_false_positive_rate=None,
        nearest_share=0.0,
        fitted_on=f"the default checkpoint's {fit.fitted_on}; similarities were scaled without "
        "a video",
    )


def text_spread(reference: Vectors) -> float:
    """Return the mean over vectors (A, dim) of the spread of their similarities to the others."""
    similarities = reference @ reference.T
    np.fill_diagonal(similarities, np.nan)
    return float(np.nanstd(similarities, axis=1).mean())


def video_spread(reference: Vectors, bank: Vectors) -> float:
    """Return the mean over vectors (A, dim) of the spread of their similarities to the bank."""
    spreads: npt.NDArray[np.float32] = Calibration(CalibrationConfig(), bank).background_of(
        reference
    )[:, 1]
    return float(spreads.mean())


def embed_folder(tagger: Tagger, folder: Path, log: Log) -> Vectors:
    """Embed the videos of a folder and its subfolders: (M, dim) float32 unit.

    Raises ValueError where fewer than `MIN_VIDEOS` can be read.
    """
    vectors = []
    for path in _chosen(folder):
        try:
            with path.open("rb") as file:
                vectors.append(tagger.embed(file)[1])
        except (VideoError, OSError) as error:
            log(f"left out {path.name}: {error}")
    if len(vectors) < MIN_VIDEOS:
        raise ValueError(
            f"{folder} has {len(vectors)} videos that can be read; levels and spreads need at "
            f"least {MIN_VIDEOS}"
        )
    log(f"embedded {len(vectors)} unlabelled videos for the background bank")
    return np.stack(vectors)


def _chosen(folder: Path) -> Sequence[Path]:
    """Choose at most `MAX_VIDEOS` videos, evenly over the sorted names."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if len(paths) <= MAX_VIDEOS:
        return paths
    rows = np.linspace(0, len(paths) - 1, MAX_VIDEOS).round().astype(int)
    return [paths[row] for row in rows]
