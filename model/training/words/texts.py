"""The words of a training set as vectors, and what held-out classes take away from it."""

import hashlib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.models import EfficientNet_B0_Weights

from model.text.labels import Label
from model.text.prompts import prompts_of, prototype_vectors
from model.text.text_encoder import TextEncoder, normalise
from model.training.data.manifest import Sample
from model.training.data.tables import rows_of
from model.training.words.overlap import DEFAULT_TAU, Overlap, caption_overlaps, label_overlaps

SPLITS = Path(__file__).parent / "splits"

Descriptions = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Class names that training must not see: `test` for figures, `validation` for choices.

    `overlap` says what becomes of training texts nearer than `tau` or under another rule: drop,
    keep, refuse, or the path of a reviewed table (see `model.training.words.overlap_review`).
    """

    test: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    overlap: str = "refuse"
    tau: float = DEFAULT_TAU

    @property
    def names(self) -> tuple[str, ...]:
        """Both together."""
        return (*self.test, *self.validation)


@dataclass(frozen=True, slots=True)
class TextBank:
    """All training texts with their (N, D) unit vectors, centred by `mean` (D,)."""

    texts: tuple[str, ...]
    vectors: Tensor
    mean: npt.NDArray[np.float32]


def read_held_out(name_or_path: str) -> HeldOut:
    """A split by file name in `splits/` or by path; empty for an empty name.

    Raises ValueError when there is none or it holds something else.
    """
    if not name_or_path:
        return HeldOut()
    path = Path(name_or_path)
    path = path if path.is_file() else SPLITS / name_or_path
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        if isinstance(document.get("overlap"), str) and document["overlap"].endswith(".csv"):
            # beside the split that it is about
            document["overlap"] = str(path.parent / document["overlap"])
        for kind in ("test", "validation"):
            document[kind] = tuple(document.get(kind, ()))
        return HeldOut(**document)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{name_or_path} is no split: {error}") from error


def read_descriptions(path: str) -> Descriptions:
    """Each label's descriptions from a table with columns `label` and `description`.

    None for an empty path. Raises ValueError when it is no such table.
    """
    described: dict[str, list[str]] = {}
    for place, row in rows_of(Path(path)) if path else ():
        if row is None or not row.get("label") or not row.get("description"):
            raise ValueError(f"{path}, {place}: needs a label and a description")
        described.setdefault(row["label"], []).append(row["description"])
    return {label: tuple(said) for label, said in described.items()}


def embed_labels(
    names: Sequence[str],
    text: TextEncoder,
    templates: Sequence[str],
    mean: npt.NDArray[np.float32],
    descriptions: Descriptions | None = None,
) -> npt.NDArray[np.float32]:
    """Prototypes of label names, (N, D) float32 unit, as the served Tagger makes them."""
    said = descriptions or {}
    labels = [Label(n, prompts=tuple(f"{n}: {d}" for d in said.get(n, ()))) for n in names]
    return prototype_vectors([prompts_of(label, templates)[0] for label in labels], text, mean)


def without_overlap(
    samples: Sequence[Sample], held_out: HeldOut, text: TextEncoder
) -> tuple[list[Sample], list[Overlap]]:
    """The samples none of whose texts overlaps with a held-out class, and what was found."""
    if not held_out.names:
        return list(samples), []
    labels = sorted({sample.label for sample in samples if sample.label})
    captions = sorted({caption for sample in samples for caption in sample.captions})
    encoded = text.encode([*labels, *held_out.names])
    distances = 1.0 - encoded[: len(labels)] @ encoded[len(labels) :].T
    overlaps = label_overlaps(labels, held_out.names, distances, tau=held_out.tau)
    overlaps += caption_overlaps(captions, held_out.names)
    gone = {overlap.text for overlap in overlaps}
    kept = [s for s in samples if not gone.intersection((s.label, *s.captions))]
    return kept, overlaps


def build_bank(
    samples: Sequence[Sample],
    text: TextEncoder,
    templates: Sequence[str],
    cache: Path,
    *,
    centred: bool = True,
    descriptions: Descriptions | None = None,
) -> tuple[TextBank, list[list[int]]]:
    """The bank of all texts that the samples may be matched with, and each sample's rows in it.

    Captions take minutes to embed; their vectors are kept in the folder `cache`.
    """
    labels = sorted({sample.label for sample in samples if sample.label})
    captions = sorted({c for s in samples if not s.label for c in s.captions} - set(labels))
    mean = np.zeros(text.dim, np.float32)
    if centred:
        mean = embed_labels(labels or captions, text, templates, mean, descriptions).mean(axis=0)
    encoded = encode_once(captions, text, cache) if captions else np.empty((0, text.dim))
    caption_vectors = normalise((encoded - mean).astype(np.float32))
    label_vectors = embed_labels(labels, text, templates, mean, descriptions)
    vectors = np.concatenate([label_vectors, caption_vectors])
    texts = (*labels, *captions)
    row_of = {name: row for row, name in enumerate(texts)}
    rows = [[row_of[name] for name in sample.texts] for sample in samples]
    return TextBank(texts, torch.from_numpy(vectors.astype(np.float32)), mean), rows


def encode_once(texts: Sequence[str], text: TextEncoder, cache: Path) -> npt.NDArray[np.float32]:
    """(N, D) float32 unit vectors of texts as they are, kept in the folder `cache`."""
    digest = hashlib.sha256("\n".join([text.model_hash, *texts]).encode()).hexdigest()
    path = cache / f"captions-{digest[:16]}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # several processes of a run may do this at once: a file is whole when it has its name
        partial = path.with_name(f"{path.stem}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.save(file, text.encode(texts))
        partial.replace(path)
    vectors: npt.NDArray[np.float32] = np.load(path)
    return vectors


def imagenet_names() -> list[str]:
    """ImageNet's 1,000 class names in the order of the packaged classifiers."""
    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
