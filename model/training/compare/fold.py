"""One split of a comparison: what its arms answer, each kept on disk once it is known."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from model.encoder.networks import Network, SemanticHead
from model.text.text_encoder import TextEncoder
from model.training.compare.arms import (
    HIDDEN,
    Candidate,
    Eye,
    best_of,
    named,
    ridge,
    trained_head,
    with_head,
)
from model.training.compare.contest import Answers
from model.training.compare.problem import Problem
from model.training.compare.trained_arms import (
    Learned,
    Means,
    classifier,
    end_to_end,
    from_checkpoint,
    from_scratch,
    interpolations,
)
from model.training.config import TrainConfig
from model.training.features import FeatureCache
from model.training.initial import initial_network
from model.training.progress import Progress, no_progress

_MAY_BE_GIVEN = ("E", "E+WiSE")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a comparison runs: where it keeps its work, and at which precision frozen networks run.

    `trained` gives checkpoints that were trained elsewhere for the arm E, one for each fold;
    `workers` processes read ahead for a network that is trained. `progress` counts the samples
    that a frozen network sees.
    """

    out: Path
    device: str = "cpu"
    dtype: torch.dtype = torch.bfloat16
    trained: tuple[Path, ...] = ()
    workers: int = 1
    say: Callable[[str], None] = print
    progress: Progress = no_progress


class Fold:
    """One split: its networks are trained when an arm first asks for them.

    Features are kept in the problem's cache, all else in `settings.out`.
    """

    def __init__(self, problem: Problem, fold: int, settings: Settings) -> None:
        self._problem = problem
        self._number = fold
        self._settings = settings
        self._kept: dict[str, Any] = {}

    def answer(self, arm: str, seed: int) -> Answers:
        """What the arm says about the test samples, from its file where there is one."""
        path = self._settings.out / f"{arm}{self._given(arm)}-fold{self._number}-seed{seed}.npz"
        if path.exists():
            return Answers.read(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        candidate, validation = best_of(self._problem, self._candidates(arm, seed))
        problem = self._problem
        background = candidate.embed(problem.background_samples())
        labels = sorted({sample.label for sample in problem.test})
        words = problem.words(labels, background, candidate.mean)
        answer = Answers(
            arm=arm,
            fold=self._number,
            seed=seed,
            settings=candidate.settings,
            validation=validation,
            labels=tuple(labels),
            targets=words.targets(problem.test),
            similarities=words.similarities(candidate.embed(problem.test)),
        )
        answer.write(path)
        return answer

    def _given(self, arm: str) -> str:
        """Tells answers of a network that was trained elsewhere from those of one trained here."""
        if not self._settings.trained or arm not in _MAY_BE_GIVEN:
            return ""
        weights = (self._settings.trained[self._number] / "model.safetensors").read_bytes()
        return "-" + hashlib.sha256(weights).hexdigest()[:12]

    def _candidates(self, arm: str, seed: int) -> Iterator[Candidate]:
        problem = self._problem
        if arm == "F0":
            return named(self._frozen())
        if arm == "F1":
            return ridge(problem, self._frozen())
        if arm == "F2-linear":
            return with_head(self._frozen(), self._linear(seed))
        if arm == "F2":
            return with_head(self._frozen(), trained_head(problem, self._frozen(), HIDDEN, seed))
        if arm == "F3":
            return ridge(problem, self._eye(self._learned("F3", classifier, seed).network))
        if arm == "E+WiSE":
            return self._interpolated(seed)
        learned = self._learned("S", from_scratch, seed) if arm == "S" else self._end_to_end(seed)
        return self._headed(learned)

    def _headed(self, learned: Learned, settings: str = "") -> Iterator[Candidate]:
        eye = self._eye(learned.network)
        return with_head(eye, learned.network.head, settings, learned.mean)

    def _interpolated(self, seed: int) -> Iterator[Candidate]:
        learned = self._end_to_end(seed)
        frozen = self._frozen().network
        for share, network in interpolations(frozen, self._linear(seed), learned.network):
            yield from self._headed(Learned(network, learned.mean), f"{share:g} of the way, ")

    def _end_to_end(self, seed: int) -> Learned:
        if self._settings.trained:
            directory = self._settings.trained[self._number]
            return self._once("E given", lambda: from_checkpoint(directory, self._problem))
        return self._learned("E", end_to_end, seed)

    def _frozen(self) -> Eye:
        def make() -> Eye:
            problem = self._problem
            network = frozen_network(problem.config, problem.text, problem.bank.mean)
            return self._eye(network)

        return self._once("frozen", make)

    def _linear(self, seed: int) -> SemanticHead:
        def make() -> SemanticHead:
            head = trained_head(self._problem, self._frozen(), 0, seed)
            assert isinstance(head, SemanticHead)  # which is what `hidden` 0 means
            return head

        return self._once(f"linear {seed}", make)

    def _learned(self, arm: str, learn: Callable[..., Learned], seed: int) -> Learned:
        settings = self._settings
        out = settings.out / f"{arm}-fold{self._number}-seed{seed}"
        means = Means(settings.device, settings.workers, settings.say)
        return self._once(
            out.name,
            lambda: learn(self._problem, out, seed, means),
        )

    def _eye(self, network: Network) -> Eye:
        problem = self._problem
        cache = features_of(network, problem.config, problem.text, problem.cache, self._settings)
        return Eye(network, cache, self._settings.progress)

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        if name not in self._kept:
            self._kept[name] = make()
        made: _Made = self._kept[name]
        return made


def frozen_network(
    config: TrainConfig, text: TextEncoder, mean: npt.NDArray[np.float32]
) -> Network:
    """The network that frozen arms look through: the run's initial one.

    Without temporal shift: frames of a still network are taken one by one, as it never learned to
    shift in time.
    """
    torch.manual_seed(config.seed)
    return initial_network(replace(config, shift_fraction=0.0), text, mean)


def features_of(
    network: Network, config: TrainConfig, text: TextEncoder, folder: Path, settings: Settings
) -> FeatureCache:
    """The network's features as this comparison takes them, kept below `folder`."""
    return FeatureCache(
        folder / "features",
        network,
        config.preprocess,
        config.sampling,
        text,
        dtype=settings.dtype,
        device=settings.device,
    )
