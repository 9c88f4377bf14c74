"""Fit the linear layer of a head on features that are computed once."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.training.features import Vectors
from model.training.objective import cosine, cross_entropy
from model.training.refine.settings import LinearSettings
from model.training.resources import Log

_COSINE_WEIGHT = 0.5
_WARM_UP = 0.1  # share of the steps in which the learning rate rises


def fit_linear(
    features: Vectors,
    texts: Sequence[Sequence[int]],
    sources: Sequence[str],
    vectors: Tensor,
    settings: LinearSettings,
    *,
    seed: int = 0,
    log: Log = print,
) -> nn.Linear:
    """Fit a linear layer that maps features (N, F) near their texts' vectors.

    `texts` are the rows in `vectors` (T, D) of each sample's texts, of which a step draws one;
    `sources` (N,) are the samples' sources.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    weights = _weights(sources, settings.temper)
    linear = nn.Linear(features.shape[1], vectors.shape[1])
    optimiser = torch.optim.AdamW(
        linear.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
    )
    steps = max(2, math.ceil(settings.epochs * len(features) / settings.batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.rate, total_steps=steps, pct_start=_WARM_UP
    )
    inputs = torch.from_numpy(features)
    for step in range(steps):
        rows = rng.choice(len(features), settings.batch, p=weights)
        own = np.array([texts[row][int(rng.integers(len(texts[row])))] for row in rows.tolist()])
        others = rng.choice(len(vectors), settings.batch)
        loss = _loss(linear, inputs[rows], own, others, vectors, settings)
        optimiser.zero_grad()
        torch.autograd.backward([loss])
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0 or step + 1 == steps:
            log(f"linear layer: step {step + 1} of {steps}, loss {loss.item():.3f}")
    return linear.requires_grad_(False)


def _loss(
    linear: nn.Linear,
    features: Tensor,
    own: npt.NDArray[np.int64],
    others: npt.NDArray[np.int64],
    vectors: Tensor,
    settings: LinearSettings,
) -> Tensor:
    candidates, positions = np.unique(np.concatenate([own, others]), return_inverse=True)
    rows = torch.from_numpy(positions[: len(own)])
    embeddings = functional.normalize(
        linear(functional.dropout(features, settings.dropout)), dim=-1
    )
    compared = vectors[torch.from_numpy(candidates)]
    return cross_entropy(
        embeddings,
        rows,
        compared,
        torch.tensor(settings.scale),
        smoothing=settings.label_smoothing,
        synonym_similarity=settings.synonym_similarity,
    ) + _COSINE_WEIGHT * cosine(embeddings, compared[rows])


def _weights(sources: Sequence[str], temper: float) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(np.array(sources), return_inverse=True, return_counts=True)
    weights = counts[inverse].astype(np.float64) ** (temper - 1.0)
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares
