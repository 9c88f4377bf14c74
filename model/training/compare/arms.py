"""The arms of a comparison: each turns a problem into embeddings of the clips asked.

    F0         ImageNet's names, without training (ConSE)
    F1         frozen features + ridge regression
    F2-linear  frozen features + the served head, trained
    F2         frozen features + a head with a hidden layer, trained
    F3         features of a network trained to classify the training labels, frozen, + F1
    E          end to end
    E+WiSE     its weights interpolated with those of the frozen network and its trained head
    S          end to end from random weights

F1, F2, E and E+WiSE may mix in the names that the network's word head gives. What an arm can
choose (penalty, mixing, interpolation) is chosen by mean class accuracy on the validation classes.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.encoder.networks import Network, SemanticHead
from model.errors import VideoError
from model.text.text_encoder import normalise
from model.training.compare.heads import DeepHead, Ridge, conse, mix, train_head
from model.training.compare.problem import Problem
from model.training.data.manifest import Sample
from model.training.features import FeatureCache, Vectors, apply_head
from model.training.measure.figures import RAW
from model.training.measure.metrics import accuracy
from model.training.progress import Progress, no_progress

PENALTIES = tuple(10.0 ** np.arange(-3, 2.5, 0.5))
MIXES = (0.0, 0.25, 0.5, 1.0, 2.0)
HIDDEN = 1024

Embed = Callable[[Sequence[Sample]], Vectors]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Candidate:
    """One way to answer a problem: what was set, and samples to (N, D) unit embeddings.

    `mean` (D,) centres label vectors where it is not the problem's own.
    """

    settings: str
    embed: Embed
    mean: Vectors | None = None


def validation_accuracy(problem: Problem, candidate: Candidate) -> float:
    """Mean class top-1 among the validation classes, by raw cosine."""
    labels = sorted({sample.label for sample in problem.validation})
    words = problem.words(labels, np.empty((0, 0), np.float32), candidate.mean)
    similarities = words.similarities(candidate.embed(problem.validation))[RAW]
    return accuracy(similarities, words.targets(problem.validation)).class_top1


def best_of(problem: Problem, candidates: Iterator[Candidate]) -> tuple[Candidate, float]:
    """The candidate that does best on the validation classes, the first of equals."""
    return max(
        ((candidate, validation_accuracy(problem, candidate)) for candidate in candidates),
        key=lambda pair: pair[1],
    )


class Eye:
    """A network's features of samples, kept on disk."""

    def __init__(
        self, network: Network, cache: FeatureCache, progress: Progress = no_progress
    ) -> None:
        self.network = network
        self._cache = cache
        self._progress = progress

    def __call__(self, samples: Sequence[Sample]) -> Vectors:
        """(N, F) float32; raises VideoError for a sample that cannot be read."""
        embedded = self._cache.embed(samples, self._progress)
        if embedded.broken:
            first = embedded.broken[0]
            raise VideoError(f"{first.sample.path} {first.sample.member}: {first.reason}")
        return embedded.vectors


def named(eye: Eye) -> Iterator[Candidate]:
    """F0; nothing for a network without a word head."""
    head = eye.network.head.word_head
    if head is not None:
        yield Candidate("ten likeliest names", lambda samples: conse(eye(samples), head))


def ridge(problem: Problem, eye: Eye) -> Iterator[Candidate]:
    """F1, for every penalty, with and without names."""
    vectors = problem.bank.vectors.numpy()
    sums = np.stack([vectors[rows].mean(axis=0) for rows in problem.text_rows])
    fitted = Ridge(eye(problem.training), normalise(sums), problem.weights())
    names = next(named(eye), None)
    for penalty in PENALTIES:
        for share in MIXES if names else (0.0,):

            def embed(
                samples: Sequence[Sample], penalty: float = penalty, share: float = share
            ) -> Vectors:
                direct = fitted.embed(eye(samples), penalty)
                return mix(direct, names.embed(samples), share) if names and share else direct

            yield Candidate(f"penalty {penalty:.3g}, names x {share:g}", embed)


def trained_head(problem: Problem, eye: Eye, hidden: int, seed: int) -> SemanticHead | DeepHead:
    """The head of F2, and with `hidden` 0 that of F2-linear."""
    features = eye(problem.training)
    return train_head(problem, features, eye.network.head, hidden=hidden, seed=seed)


def with_head(
    eye: Eye, head: SemanticHead | DeepHead, settings: str = "", mean: Vectors | None = None
) -> Iterator[Candidate]:
    """Features through a head, for every share of names."""
    for share in MIXES if head.word_head is not None else (0.0,):

        def embed(samples: Sequence[Sample], share: float = share) -> Vectors:
            weighed = copy.deepcopy(head)
            weighed.mix.data.fill_(share)
            return apply_head(weighed, eye(samples))

        yield Candidate(f"{settings}names x {share:g}", embed, mean)
