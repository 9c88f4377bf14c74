"""The candidates of each arm: ways to embed clips, of which validation accuracy chooses one.

    F0         ImageNet's names, without training (ConSE)
    F1         frozen features + ridge regression
    F2-linear  frozen features + the served head, trained
    F2         frozen features + a head with a hidden layer, trained
    F3         features of a network trained to classify the training labels, frozen, + F1
    E          end to end
    E+WiSE     its weights interpolated with those of the frozen network and its trained head
    S          end to end from random weights

F1, F2, E and E+WiSE may add the ImageNet names that the network's word head predicts. An arm's
candidates differ in penalty, share of names or interpolation; the one with the best mean class
accuracy on the validation classes is the arm's answer.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.encoder.networks import SemanticHead
from model.text.text_encoder import normalise
from model.training.compare.feature_cache import FrozenBackbone
from model.training.compare.heads import DeepHead, Ridge, conse, mix, train_head
from model.training.compare.problem import Problem
from model.training.data.manifest import Sample
from model.training.features import Vectors, apply_head
from model.training.measure.figures import RAW
from model.training.measure.metrics import accuracy

PENALTIES = tuple(10.0 ** np.arange(-3, 2.5, 0.5))
MIXES = (0.0, 0.25, 0.5, 1.0, 2.0)
HIDDEN = 1024

Embed = Callable[[Sequence[Sample]], Vectors]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Candidate:
    """One setting of an arm: `embed` maps samples to (N, D) float32 unit embeddings.

    `mean` (D,) centres label vectors, None for the problem's own mean.
    """

    settings: str
    embed: Embed
    mean: Vectors | None = None


def validation_accuracy(problem: Problem, candidate: Candidate) -> float:
    """Measure mean class top-1 accuracy among the validation classes, by raw cosine."""
    labels = sorted({sample.label for sample in problem.validation})
    words = problem.words(labels, np.empty((0, 0), np.float32), candidate.mean)
    similarities = words.similarities(candidate.embed(problem.validation))[RAW]
    return accuracy(similarities, words.targets(problem.validation)).class_top1


def best_of(problem: Problem, candidates: Iterator[Candidate]) -> tuple[Candidate, float]:
    """Choose the candidate with the best validation accuracy, the first among equals."""
    return max(
        ((candidate, validation_accuracy(problem, candidate)) for candidate in candidates),
        key=lambda pair: pair[1],
    )


def imagenet_names_candidate(backbone: FrozenBackbone) -> Iterator[Candidate]:
    """Yield F0's candidate; none for a network without a word head."""
    head = backbone.network.head.word_head
    if head is not None:
        yield Candidate(
            "ten likeliest names", lambda samples: conse(backbone.features(samples), head)
        )


def ridge(problem: Problem, backbone: FrozenBackbone) -> Iterator[Candidate]:
    """Yield F1's candidates: every penalty, with every share of names."""
    vectors = problem.bank.vectors.numpy()
    sums = np.stack([vectors[rows].mean(axis=0) for rows in problem.text_rows])
    fitted = Ridge(backbone.features(problem.training), normalise(sums), problem.weights())
    names = next(imagenet_names_candidate(backbone), None)
    for penalty in PENALTIES:
        for share in MIXES if names else (0.0,):

            def embed(
                samples: Sequence[Sample], penalty: float = penalty, share: float = share
            ) -> Vectors:
                direct = fitted.embed(backbone.features(samples), penalty)
                return mix(direct, names.embed(samples), share) if names and share else direct

            yield Candidate(f"penalty {penalty:.3g}, names x {share:g}", embed)


def trained_head(
    problem: Problem, backbone: FrozenBackbone, hidden: int, seed: int
) -> SemanticHead | DeepHead:
    """Train the head of F2; with `hidden` 0 that of F2-linear."""
    features = backbone.features(problem.training)
    return train_head(problem, features, backbone.network.head, hidden=hidden, seed=seed)


def with_head(
    backbone: FrozenBackbone,
    head: SemanticHead | DeepHead,
    settings: str = "",
    mean: Vectors | None = None,
) -> Iterator[Candidate]:
    """Yield candidates that map features through `head`, with every share of names."""
    for share in MIXES if head.word_head is not None else (0.0,):

        def embed(samples: Sequence[Sample], share: float = share) -> Vectors:
            weighed = copy.deepcopy(head)
            weighed.mix.data.fill_(share)
            return apply_head(weighed, backbone.features(samples))

        yield Candidate(f"{settings}names x {share:g}", embed, mean)
