"""One split of a comparison: its arms' answers, each stored on disk."""

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
from model.training.compare.candidates import (
    HIDDEN,
    Candidate,
    best_of,
    imagenet_names_candidate,
    ridge,
    trained_head,
    with_head,
)
from model.training.compare.feature_cache import DiskFeatureCache, FrozenBackbone
from model.training.compare.problem import Problem
from model.training.compare.standings import Answers
from model.training.compare.trained_networks import (
    TrainedNetwork,
    classifier,
    end_to_end,
    from_checkpoint,
    from_scratch,
    interpolations,
)
from model.training.config import TrainConfig
from model.training.initial import initial_network
from model.training.progress import Progress, no_progress
from model.training.resources import Log, TrainingResources

_GIVEN_ARMS = ("E", "E+WiSE")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of a comparison: its folder `out`, and the precision `dtype` of frozen networks.

    `trained` lists checkpoints that were trained elsewhere for the arm E, one for each fold;
    `workers` data workers read ahead for a network that is trained. `progress` counts the samples
    that a frozen network has encoded.
    """

    out: Path
    device: str = "cpu"
    dtype: torch.dtype = torch.bfloat16
    trained: tuple[Path, ...] = ()
    workers: int = 1
    log: Log = print
    progress: Progress = no_progress


class Fold:
    """One split; a network is trained when an arm first needs it.

    Features are stored in the problem's cache, everything else in `settings.out`.
    """

    def __init__(self, problem: Problem, fold: int, settings: Settings) -> None:
        self._problem = problem
        self._number = fold
        self._settings = settings
        self._kept: dict[str, Any] = {}

    def answer(self, arm: str, seed: int) -> Answers:
        """Compute an arm's similarities of the test samples, or read them from their file."""
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
        """Return the part of an answer's file name that identifies a checkpoint in `trained`."""
        if not self._settings.trained or arm not in _GIVEN_ARMS:
            return ""
        weights = (self._settings.trained[self._number] / "model.safetensors").read_bytes()
        return "-" + hashlib.sha256(weights).hexdigest()[:12]

    def _candidates(self, arm: str, seed: int) -> Iterator[Candidate]:
        problem = self._problem
        if arm == "F0":
            return imagenet_names_candidate(self._frozen())
        if arm == "F1":
            return ridge(problem, self._frozen())
        if arm == "F2-linear":
            return with_head(self._frozen(), self._linear(seed))
        if arm == "F2":
            return with_head(self._frozen(), trained_head(problem, self._frozen(), HIDDEN, seed))
        if arm == "F3":
            return ridge(
                problem, self._backbone(self._trained_once("F3", classifier, seed).network)
            )
        if arm == "E+WiSE":
            return self._interpolated(seed)
        trained = (
            self._trained_once("S", from_scratch, seed) if arm == "S" else self._end_to_end(seed)
        )
        return self._headed(trained)

    def _headed(self, trained: TrainedNetwork, settings: str = "") -> Iterator[Candidate]:
        backbone = self._backbone(trained.network)
        return with_head(backbone, trained.network.head, settings, trained.mean)

    def _interpolated(self, seed: int) -> Iterator[Candidate]:
        trained = self._end_to_end(seed)
        frozen = self._frozen().network
        for share, network in interpolations(frozen, self._linear(seed), trained.network):
            yield from self._headed(
                TrainedNetwork(network, trained.mean), f"interpolation {share:g}, "
            )

    def _end_to_end(self, seed: int) -> TrainedNetwork:
        if self._settings.trained:
            directory = self._settings.trained[self._number]
            return self._once("E given", lambda: from_checkpoint(directory, self._problem))
        return self._trained_once("E", end_to_end, seed)

    def _frozen(self) -> FrozenBackbone:
        def make() -> FrozenBackbone:
            problem = self._problem
            network = frozen_network(problem.config, problem.text, problem.bank.mean)
            return self._backbone(network)

        return self._once("frozen", make)

    def _linear(self, seed: int) -> SemanticHead:
        def make() -> SemanticHead:
            head = trained_head(self._problem, self._frozen(), 0, seed)
            assert isinstance(head, SemanticHead)  # the kind for `hidden` 0
            return head

        return self._once(f"linear {seed}", make)

    def _trained_once(
        self, arm: str, train: Callable[..., TrainedNetwork], seed: int
    ) -> TrainedNetwork:
        settings = self._settings
        out = settings.out / f"{arm}-fold{self._number}-seed{seed}"
        resources = TrainingResources(settings.device, settings.workers, log=settings.log)
        return self._once(
            out.name,
            lambda: train(self._problem, out, seed, resources),
        )

    def _backbone(self, network: Network) -> FrozenBackbone:
        problem = self._problem
        cache = features_of(network, problem.config, problem.text, problem.cache, self._settings)
        return FrozenBackbone(network, cache, self._settings.progress)

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        if name not in self._kept:
            self._kept[name] = make()
        made: _Made = self._kept[name]
        return made


def frozen_network(
    config: TrainConfig, text: TextEncoder, mean: npt.NDArray[np.float32]
) -> Network:
    """Build the network of the frozen arms: the run's initial one, without temporal shift.

    The initial weights were not trained with temporal shift, so that frames are encoded one by one.
    """
    torch.manual_seed(config.seed)
    return initial_network(replace(config, shift_fraction=0.0), text, mean)


def features_of(
    network: Network, config: TrainConfig, text: TextEncoder, folder: Path, settings: Settings
) -> DiskFeatureCache:
    """Open the cache of a network's features below `folder`, with this comparison's settings."""
    return DiskFeatureCache(
        folder / "features",
        network,
        config.preprocess,
        config.sampling,
        text,
        dtype=settings.dtype,
        device=settings.device,
    )
