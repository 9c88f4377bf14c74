"""One zero-shot problem, the same for every arm: samples, words, split and order of batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.calibration import Calibration, CalibrationConfig
from model.text.text_encoder import TextEncoder
from model.training.calibrate import draw_bank
from model.training.config import TrainConfig
from model.training.data.manifest import EVALUATION_SPLITS, Sample
from model.training.data.step_plans import StepPlans
from model.training.measure.figures import Words
from model.training.words.held_out import HeldOut
from model.training.words.overlap_review import DROP, review, texts_to_drop, without_texts
from model.training.words.phrases import with_phrases
from model.training.words.text_bank import TextBank, build_bank, embed_labels, read_descriptions


class CachedText:
    """A text encoder that caches every embedding in memory."""

    def __init__(self, text: TextEncoder) -> None:
        self._text = text
        self._known: dict[str, npt.NDArray[np.float32]] = {}

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._text.dim

    @property
    def model_hash(self) -> str:
        """The wrapped encoder's hash."""
        return self._text.model_hash

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors."""
        missing = sorted({text for text in texts if text not in self._known})
        if missing:
            self._known.update(zip(missing, self._text.encode(missing), strict=True))
        rows = [self._known[text] for text in texts]
        return np.stack(rows) if rows else np.empty((0, self.dim), np.float32)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Problem:
    """Training samples with their words, and the samples to classify.

    `text_rows` are each training sample's rows in `bank`. Arms choose their settings on
    `validation`, never on `test`. `cache` is the folder for features and caption vectors.
    """

    config: TrainConfig
    held_out: HeldOut
    text: TextEncoder
    cache: Path
    training: tuple[Sample, ...]
    bank: TextBank
    text_rows: list[list[int]]
    validation: tuple[Sample, ...]
    test: tuple[Sample, ...]

    def with_training(self, samples: Sequence[Sample]) -> "Problem":
        """Return the same problem with other training samples."""
        bank, rows = _bank_of(self.config, samples, self.text, self.cache)
        return replace(self, training=tuple(samples), bank=bank, text_rows=rows)

    def background_samples(self) -> list[Sample]:
        """Draw the training samples of the background bank."""
        rows = draw_bank(self.training, self.config.batch.temper, self.config.seed)
        return [self.training[row] for row in rows]

    def weights(self) -> npt.NDArray[np.float64]:
        """Compute the probability of drawing each training sample: (N,) float64 with sum 1."""
        _, source, sizes = np.unique(
            [sample.source for sample in self.training], return_inverse=True, return_counts=True
        )
        weights = sizes[source] ** (self.config.batch.temper - 1.0)
        return np.asarray(weights / weights.sum(), np.float64)

    def plans(self, seed: int) -> StepPlans:
        """Plan the samples and texts of each training step."""
        return StepPlans(
            self.training,
            self.text_rows,
            self.config.batch,
            bank_size=len(self.bank.texts),
            candidates=self.config.objective.candidates,
            seed=seed,
        )

    def words(
        self,
        labels: Sequence[str],
        background: npt.NDArray[np.float32],
        mean: npt.NDArray[np.float32] | None = None,
    ) -> Words:
        """Embed labels and standardise them over `background` (M, D), the arm's background bank."""
        centre = self.bank.mean if mean is None else mean
        described = read_descriptions(self.config.descriptions)
        vectors = embed_labels(labels, self.text, self.config.templates, centre, described)
        calibration = Calibration(CalibrationConfig(), background)
        return Words(tuple(labels), vectors, calibration.background_of(vectors))


def pose_problem(
    config: TrainConfig,
    samples: Sequence[Sample],
    held_out: HeldOut,
    text: TextEncoder,
    cache: Path,
) -> Problem:
    """Build the problem of a split; rows of a `val` or `test` split are never trained on.

    Raises ValueError without test, validation or training samples, and OverlapError when the
    split does not decide about an overlap.
    """
    test, validation = (
        tuple(sample for sample in samples if sample.label in names)
        for names in (held_out.test, held_out.validation)
    )
    if not test or not validation:
        raise ValueError("a comparison needs samples of test and of validation classes")
    trainable = [sample for sample in samples if sample.split not in EVALUATION_SPLITS]
    dropped = texts_to_drop(review(trainable, held_out, text), held_out.overlap)
    kept = without_texts(trainable, held_out, dropped)
    if not kept:
        raise ValueError("no sample is left to train on")
    if config.phrases:
        kept = with_phrases(kept, held_out, text, cache)
    bank, rows = _bank_of(config, kept, text, cache)
    return Problem(config, held_out, text, cache, tuple(kept), bank, rows, validation, test)


def _bank_of(
    config: TrainConfig, samples: Sequence[Sample], text: TextEncoder, cache: Path
) -> tuple[TextBank, list[list[int]]]:
    return build_bank(
        samples,
        text,
        config.templates,
        cache,
        centred=config.centred,
        descriptions=read_descriptions(config.descriptions),
    )


def class_folds(classes: Sequence[str], folds: int, seed: int) -> list[HeldOut]:
    """Make splits that test every class once; half of the next fold's classes are for validation.

    Overlapping texts are dropped from training. Raises ValueError for too many folds.
    """
    if not 2 <= folds <= len(classes) // 2:
        raise ValueError(f"{len(classes)} classes cannot make {folds} folds")
    order = np.random.default_rng(seed).permutation(sorted(classes)).tolist()
    parts = [order[start::folds] for start in range(folds)]
    return [
        HeldOut(tuple(part), tuple(following[: (len(following) + 1) // 2]), overlap=DROP)
        for part, following in zip(parts, parts[1:] + parts[:1], strict=True)
    ]
