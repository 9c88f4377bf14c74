"""Is end to end better than frozen? All arms on the same classes, with an honest interval.

    kinolex train compare --preset small --data MANIFEST.csv --out runs/compare

An arm's answers are kept in `--out`, so that the same command goes on where it was stopped. The
arms are described in `model.training.arms`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from model.encoder import Network, SemanticHead
from model.text import TextEncoder
from model.training.arms import (
    HIDDEN,
    Candidate,
    Eye,
    best_of,
    named,
    ridge,
    trained_head,
    with_head,
)
from model.training.config import TrainConfig, as_document
from model.training.contest import Answers, Comparison, contest
from model.training.features import FeatureCache
from model.training.initial import initial_network
from model.training.manifest import Sample, digest_of
from model.training.networks import (
    Learned,
    classifier,
    end_to_end,
    from_checkpoint,
    from_scratch,
    interpolations,
)
from model.training.problem import Problem, RememberingText, pose
from model.training.texts import HeldOut

FROZEN = ("F0", "F1", "F2-linear", "F2", "F3")
ARMS = (*FROZEN, "E", "E+WiSE", "S")
_SEEDLESS = ("F0", "F1")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a comparison runs: where it keeps its work, and at which precision frozen networks run.

    `trained` gives checkpoints that were trained elsewhere for the arm E, one for each fold.
    """

    out: Path
    device: str = "cpu"
    dtype: torch.dtype = torch.bfloat16
    trained: tuple[Path, ...] = ()
    say: Callable[[str], None] = print


def compare(
    config: TrainConfig,
    samples: Sequence[Sample],
    splits: Sequence[HeldOut],
    text: TextEncoder,
    settings: Settings,
    *,
    arms: Sequence[str] = ARMS,
    seeds: Sequence[int] = (0,),
) -> Comparison:
    """Run the arms on every split (fold) and seed, and compare them with the best frozen one.

    Raises ValueError for an unknown arm, for splits without samples, and when `settings.out`
    holds another comparison.
    """
    unknown = set(arms) - set(ARMS)
    if unknown:
        raise ValueError(f"no arm {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    if settings.trained and len(settings.trained) != len(splits):
        raise ValueError(f"{len(splits)} folds need as many checkpoints for E")
    _claim(settings.out, config, samples, splits)
    remembering = RememberingText(text)
    answers: list[Answers] = []
    for fold, held_out in enumerate(splits):
        problem = pose(config, samples, held_out, remembering, settings.out)
        arm_of = _Fold(problem, fold, settings)
        for seed in seeds:
            for arm in arms:
                if arm in _SEEDLESS and seed != seeds[0]:
                    continue
                answer = arm_of.answer(arm, seed)
                settings.say(
                    f"fold {fold} seed {seed} {arm}: validation "
                    f"{100 * answer.validation:.1f} %, test {100 * answer.top1('raw'):.1f} % raw, "
                    f"{100 * answer.top1('served'):.1f} % served ({answer.settings})"
                )
                answers.append(answer)
    return contest(answers, [arm for arm in arms if arm in FROZEN])


class _Fold:
    """One split: its networks are trained when an arm first asks for them."""

    def __init__(self, problem: Problem, fold: int, settings: Settings) -> None:
        self._problem = problem
        self._number = fold
        self._settings = settings
        self._kept: dict[str, Any] = {}

    def answer(self, arm: str, seed: int) -> Answers:
        """What the arm says about the test samples, from its file where there is one."""
        path = self._settings.out / f"{arm}-fold{self._number}-seed{seed}.npz"
        if path.exists():
            return Answers.read(path)
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
            # frames of a still network are taken one by one: it never learned to shift in time
            config = replace(self._problem.config, shift_fraction=0.0)
            torch.manual_seed(config.seed)
            network = initial_network(config, self._problem.text, self._problem.bank.mean)
            return self._eye(network)

        return self._once("frozen", make)

    def _linear(self, seed: int) -> SemanticHead:
        def make() -> SemanticHead:
            head = trained_head(self._problem, self._frozen(), 0, seed)
            assert isinstance(head, SemanticHead)  # which is what `hidden` 0 means
            return head

        return self._once(f"linear {seed}", make)

    def _learned(self, arm: str, learn: Callable[..., Learned], seed: int) -> Learned:
        out = self._settings.out / f"{arm}-fold{self._number}-seed{seed}"
        return self._once(
            out.name,
            lambda: learn(
                self._problem, out, seed, device=self._settings.device, say=self._settings.say
            ),
        )

    def _eye(self, network: Network) -> Eye:
        problem = self._problem
        cache = FeatureCache(
            self._settings.out / "features",
            network,
            problem.config.preprocess,
            problem.config.sampling,
            problem.text,
            dtype=self._settings.dtype,
            device=self._settings.device,
        )
        return Eye(network, cache)

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        if name not in self._kept:
            self._kept[name] = make()
        made: _Made = self._kept[name]
        return made


def _claim(
    out: Path, config: TrainConfig, samples: Sequence[Sample], splits: Sequence[HeldOut]
) -> None:
    """Make `out` this comparison's, or raise ValueError when it is another's."""
    question = {
        "config": as_document(config),
        "data": digest_of(samples),
        "splits": [[list(split.test), list(split.validation)] for split in splits],
    }
    text = json.dumps(question, sort_keys=True, indent=1) + "\n"
    path = out / "question.json"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ValueError(f"{out} holds another comparison; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
