"""Held-out classes, which training must not see, and a run's samples divided by them."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.training.data.manifest import Sample
from model.training.words.overlap import DEFAULT_TAU

SPLITS = Path(__file__).parents[1] / "splits"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Names of held-out classes: `test` for figures, `validation` for choices and calibration.

    Training texts overlap with them by a cosine distance below `tau`, or by another rule (see
    `model.training.words.overlap`). `overlap` decides about these texts: `drop`, `keep`, `refuse`
    to train, or the path of a reviewed table (see `model.training.words.overlap_review`).
    """

    test: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    overlap: str = "refuse"
    tau: float = DEFAULT_TAU

    @property
    def names(self) -> tuple[str, ...]:
        """Test classes, then validation classes."""
        return (*self.test, *self.validation)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SplitSamples:
    """The samples of a run: those it trains on, and all rows of its manifests.

    Samples of held-out classes are in `every` only.
    """

    training: tuple[Sample, ...]
    every: tuple[Sample, ...]
    held_out: HeldOut

    @property
    def validation(self) -> list[Sample]:
        """Samples of the validation classes, in the order of the manifests."""
        return _of_classes(self.every, self.held_out.validation)

    @property
    def test(self) -> list[Sample]:
        """Samples of the test classes, in the order of the manifests."""
        return _of_classes(self.every, self.held_out.test)


def read_held_out(name_or_path: str) -> HeldOut:
    """Read a split by its file name in `splits/` or by its path; empty for an empty name.

    Raises ValueError when there is no such file or it is not a split.
    """
    if not name_or_path:
        return HeldOut()
    path = Path(name_or_path)
    path = path if path.is_file() else SPLITS / name_or_path
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        if isinstance(document.get("overlap"), str) and document["overlap"].endswith(".csv"):
            # relative to the split's own folder
            document["overlap"] = str(path.parent / document["overlap"])
        for kind in ("test", "validation"):
            document[kind] = tuple(document.get(kind, ()))
        return HeldOut(**document)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{name_or_path} is not a split: {error}") from error


def _of_classes(samples: Sequence[Sample], classes: Sequence[str]) -> list[Sample]:
    return [sample for sample in samples if sample.label in classes]
