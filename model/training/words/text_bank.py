"""The texts of a training set as vectors: labels with templates and descriptions, captions."""

import hashlib
import os
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

Descriptions = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class TextBank:
    """All training texts and their (N, D) float32 unit vectors, centred by `mean` (D,)."""

    texts: tuple[str, ...]
    vectors: Tensor
    mean: npt.NDArray[np.float32]


def read_descriptions(path: str) -> Descriptions:
    """Read each label's descriptions from a table with columns `label` and `description`.

    Empty for an empty path. Raises ValueError when the file is not such a table.
    """
    described: dict[str, list[str]] = {}
    for position, row in rows_of(Path(path)) if path else ():
        if row is None or not row.get("label") or not row.get("description"):
            raise ValueError(f"{path}, {position}: needs a label and a description")
        described.setdefault(row["label"], []).append(row["description"])
    return {label: tuple(texts) for label, texts in described.items()}


def embed_labels(
    names: Sequence[str],
    text: TextEncoder,
    templates: Sequence[str],
    mean: npt.NDArray[np.float32],
    descriptions: Descriptions | None = None,
) -> npt.NDArray[np.float32]:
    """Embed label names as the served Tagger does: prototypes, (N, D) float32 unit vectors."""
    described = descriptions or {}
    labels = [Label(n, prompts=tuple(f"{n}: {d}" for d in described.get(n, ()))) for n in names]
    return prototype_vectors([prompts_of(label, templates)[0] for label in labels], text, mean)


def build_bank(
    samples: Sequence[Sample],
    text: TextEncoder,
    templates: Sequence[str],
    cache: Path,
    *,
    centred: bool = True,
    descriptions: Descriptions | None = None,
) -> tuple[TextBank, list[list[int]]]:
    """Embed all texts of the samples; return the bank and each sample's rows in it.

    Embedding captions takes minutes; their vectors are stored in the folder `cache`.
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
    """Embed texts without templates: (N, D) float32 unit vectors, stored in the folder `cache`."""
    digest = hashlib.sha256("\n".join([text.model_hash, *texts]).encode()).hexdigest()
    path = cache / f"captions-{digest[:16]}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # several processes of a run may write this file at once: the rename makes it complete
        partial = path.with_name(f"{path.stem}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.save(file, text.encode(texts))
        partial.replace(path)
    vectors: npt.NDArray[np.float32] = np.load(path)
    return vectors


def imagenet_names() -> list[str]:
    """Return ImageNet's 1,000 class names in the order of the packaged classifiers."""
    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
