"""A two-dimensional map of the embeddings of clips and labels (t-SNE)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.manifold import TSNE

_PERPLEXITY = 30.0


@dataclass(frozen=True, slots=True)
class LabelPoint:
    """A label on the map; `nearest` is the index of the clip most similar to it."""

    label: str
    is_seen: bool
    x: float
    y: float
    nearest: int


@dataclass(frozen=True, slots=True)
class ClipPoint:
    """A clip on the map; `name` is its file name."""

    name: str
    label: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class EmbeddingMap:
    """A map of neighbourhoods (t-SNE): distances between far points mean nothing."""

    labels: tuple[LabelPoint, ...]
    clips: tuple[ClipPoint, ...]


def embedding_map(
    clips: npt.NDArray[np.float32],
    clip_names: Sequence[str],
    clip_labels: Sequence[str],
    prototypes: npt.NDArray[np.float32],
    labels: Sequence[str],
    seen: frozenset[str],
) -> EmbeddingMap:
    """Map clips (N, D) and labels' prototypes (C, D), unit vectors, to one plane."""
    nearest = (prototypes @ clips.T).argmax(axis=1)
    points = _flat(np.concatenate([clips, prototypes]))
    return EmbeddingMap(
        tuple(
            LabelPoint(label, label in seen, x, y, int(row))
            for label, (x, y), row in zip(
                labels, points[len(clips) :].tolist(), nearest, strict=True
            )
        ),
        tuple(
            ClipPoint(name, label, x, y)
            for name, label, (x, y) in zip(
                clip_names, clip_labels, points[: len(clips)].tolist(), strict=True
            )
        ),
    )


def _flat(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Map (M, D) unit vectors to (M, 2), rounded and deterministic."""
    principal = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(principal, full_matrices=False)
    start = np.zeros((len(vectors), 2))
    start[:, : min(2, len(axes))] = principal @ axes[:2].T
    if len(vectors) < 4 or not start.std():
        return start
    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    flat = TSNE(
        perplexity=perplexity,
        init=(start / start[:, 0].std() * 1e-4).astype(np.float32),
        learning_rate="auto",
        random_state=0,
        n_jobs=1,
    )
    points: npt.NDArray[np.float64] = flat.fit_transform(vectors).astype(np.float64).round(2)
    return points
