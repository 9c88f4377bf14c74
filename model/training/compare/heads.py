"""Heads on frozen features: ConSE over ImageNet's names, ridge regression, a trained head."""

import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.encoder.networks import SemanticHead, WordHead
from model.text.text_encoder import normalise
from model.training.compare.problem import Problem
from model.training.config import TrainConfig
from model.training.features import Vectors
from model.training.objective import contrastive, cosine, cross_entropy, distillation, mse
from model.training.schedule import rate_factor

CONSE_NAMES = 10  # Norouzi et al., ICLR 2014


def conse(features: Vectors, head: WordHead, names: int = CONSE_NAMES) -> Vectors:
    """Map (N, F) features to (N, D) unit: the `names` likeliest words, averaged by probability."""
    with torch.inference_mode():
        chances = head.classifier(torch.from_numpy(features)).softmax(dim=-1)
        likeliest = chances.topk(min(names, chances.shape[1]), dim=-1)
        vectors = head.words[likeliest.indices]
        mixed = (likeliest.values.unsqueeze(-1) * vectors).sum(dim=1)
        return cast(Vectors, functional.normalize(mixed, dim=-1).numpy())


def mix(direct: Vectors, words: Vectors, share: float) -> Vectors:
    """Add two (N, D) unit embeddings, the second weighted by `share`; (N, D) unit."""
    return normalise(direct + np.float32(share) * words)


class Ridge:
    """Weighted ridge regression from features to word vectors, for many penalties at once."""

    def __init__(self, features: Vectors, targets: Vectors, weights: npt.NDArray[np.float64]):
        """`features` (N, F), `targets` (N, D), `weights` (N,) summing to one."""
        share = weights[:, np.newaxis]
        self._centre = (share * features).sum(axis=0)
        self._level = (share * targets).sum(axis=0)
        centred = features - self._centre
        self._values, self._axes = np.linalg.eigh(centred.T @ (share * centred))
        self._projected = self._axes.T @ (centred.T @ (share * (targets - self._level)))

    def embed(self, features: Vectors, penalty: float) -> Vectors:
        """Map (N, F) features to (N, D) unit; `penalty` is relative to the mean eigenvalue."""
        slopes, offset = self.solution(penalty)
        return normalise((features @ slopes + offset).astype(np.float32))

    def solution(self, penalty: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the slopes (F, D) and the offset (D,) for a penalty, float64."""
        shrunk = self._values + penalty * self._values.mean()
        slopes = self._axes @ (self._projected / shrunk[:, np.newaxis])
        return slopes, self._level - self._centre @ slopes


class DeepHead(nn.Module):
    """A head with a hidden layer; the word head still reads the features."""

    def __init__(self, head: SemanticHead, hidden: int) -> None:
        super().__init__()
        width = head.linear.in_features
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU())
        self.linear = nn.Linear(hidden, head.linear.out_features)
        self.word_head = head.word_head
        self.mix = head.mix

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, F) features to (B, D) unit embeddings."""
        direct = functional.normalize(self.linear(self.hidden(features)), dim=-1)
        if self.word_head is None:
            return direct
        return functional.normalize(direct + self.mix * self.word_head(features), dim=-1)


def train_head(
    problem: Problem, features: Vectors, initial: SemanticHead, *, hidden: int, seed: int
) -> SemanticHead | DeepHead:
    """Train a head on (N, F) features of the training samples as the trainer trains a network.

    Steps, words, loss, rates and averaging are the same; the backbone gets no gradients and there
    are no random crops. `hidden` is the size of the hidden layer, 0 for the served kind of head.
    """
    config = problem.config
    torch.manual_seed(seed)
    start = copy.deepcopy(initial)
    start.linear.reset_parameters()
    head: SemanticHead | DeepHead = DeepHead(start, hidden) if hidden else start
    averaged = copy.deepcopy(head)
    scale = nn.Parameter(torch.tensor(config.objective.scale).log())
    trainable = [parameter for parameter in head.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trainable if p.ndim > 1]},
        {"params": [*(p for p in trainable if p.ndim == 1), scale], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=0.0, weight_decay=config.optimiser.weight_decay)
    rates = replace(config.optimiser, head_steps=0)
    inputs = torch.from_numpy(features)
    plans = problem.plans(seed)
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = rates.head_rate * rate_factor(rates, step, config.steps)
        plan = plans.plan(step)
        candidates = problem.bank.vectors[torch.from_numpy(plan.candidates)]
        rows = torch.from_numpy(np.searchsorted(plan.candidates, plan.texts))
        loss = _loss(head, initial, inputs[plan.samples], candidates, rows, scale, config)
        optimiser.zero_grad()
        torch.autograd.backward([loss])
        optimiser.step()
        with torch.no_grad():
            for average, live in zip(averaged.parameters(), head.parameters(), strict=True):
                average.lerp_(live, 1.0 - min(rates.ema_decay, step / (step + 10)))
    return averaged.eval()


def _loss(
    head: SemanticHead | DeepHead,
    initial: SemanticHead,
    features: Tensor,
    candidates: Tensor,
    rows: Tensor,
    scale: Tensor,
    config: TrainConfig,
) -> Tensor:
    weights = config.objective
    embeddings = head(features)
    targets = candidates[rows]
    terms = [weights.mse * mse(embeddings, targets), weights.cosine * cosine(embeddings, targets)]
    if weights.cross_entropy:
        terms.append(
            weights.cross_entropy
            * cross_entropy(
                embeddings,
                rows,
                candidates,
                scale.exp().clamp(max=weights.largest_scale),
                smoothing=weights.label_smoothing,
                synonym_similarity=weights.synonym_similarity,
            )
        )
    if weights.contrastive:
        terms.append(
            weights.contrastive
            * contrastive(
                embeddings,
                rows,
                slice(0, len(rows)),
                candidates,
                scale.exp().clamp(max=weights.largest_scale),
                synonym_similarity=weights.synonym_similarity,
            )
        )
    if weights.distillation and head.word_head and initial.word_head:
        with torch.no_grad():
            known = initial.word_head.classifier(features)
        terms.append(
            weights.distillation * distillation(head.word_head.classifier(features), known)
        )
    return torch.stack(terms).sum()
