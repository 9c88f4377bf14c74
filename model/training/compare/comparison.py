"""`kinolex train compare` from manifests to the page: arms on folds, growth, distances, report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model.text.pretrained import DEFAULT_TEXT_MODEL
from model.text.source import load_text_encoder
from model.text.text_encoder import TextEncoder
from model.training.compare.baselines import ARMS, compare, readable
from model.training.compare.comparison_report import write_comparison
from model.training.compare.fold import Settings
from model.training.compare.growth import GrowthPoint, distances_to_training, grow
from model.training.compare.problem import Problem, RememberingText, class_folds, pose
from model.training.config import TrainConfig
from model.training.data.manifest import Sample, read_manifest
from model.training.initial import adopt
from model.training.words.texts import HeldOut, read_held_out

LEARNED = "E"


@dataclass(frozen=True, slots=True)
class Question:
    """Which classes are unseen: splits by name or path, or `folds` over the classes of data sets.

    With neither, the configuration's own split. `classes_of` names data sets or zip files, none
    for all. `overlap` takes the place of what the splits say about overlapping texts.
    """

    splits: tuple[str, ...] = ()
    folds: int = 0
    classes_of: tuple[str, ...] = ()
    overlap: str | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """The parts of the data that growth curves are drawn over; none of a kind, no such curve."""

    sample_shares: tuple[float, ...] = ()
    class_counts: tuple[int, ...] = ()


def run_comparison(
    config: TrainConfig,
    manifests: Sequence[Path],
    settings: Settings,
    question: Question | None = None,
    *,
    arms: Sequence[str] = ARMS,
    seeds: Sequence[int] = (0,),
    growth: Growth | None = None,
    text: TextEncoder | None = None,
    text_model: str | None = None,
) -> Path:
    """Compare the arms and write `comparison.html` and `comparison.json`; the page's path.

    Growth curves are those of the best frozen arm and of E on the first fold. Files that cannot
    be read are left out of all arms alike. Raises what `compare` raises, and ManifestError.
    """
    every = [sample for manifest in manifests for sample in read_manifest(manifest)]
    config, own_text_model = adopt(config, settings.out)
    text_model = text_model or own_text_model or DEFAULT_TEXT_MODEL
    text = RememberingText(text or load_text_encoder(text_model, device=settings.device))
    config = replace(config, dim=text.dim)
    splits = _splits(config, every, question or Question())
    comparison = compare(config, every, splits, text, settings, arms=arms, seeds=seeds)
    samples = readable(config, every, text, settings)
    distances: dict[str, float] = {}
    points: list[GrowthPoint] = []
    for number, held_out in enumerate(splits):
        problem = pose(config, samples, held_out, text, settings.out)
        distances |= distances_to_training(problem)
        if number == 0 and growth:
            growing = [arm for arm in arms if arm in (comparison.best_frozen, LEARNED)]
            points = _grown(problem, growing, settings, growth, seeds[0])
    return write_comparison(comparison, settings.out, distances=distances, growth=points)


def _splits(config: TrainConfig, samples: Sequence[Sample], question: Question) -> list[HeldOut]:
    if question.folds:
        chosen = set(question.classes_of)
        known = {name for sample in samples for name in (sample.dataset, sample.source)}
        if unknown := chosen - known:
            raise ValueError(
                f"no data set {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
            )
        asked = [s for s in samples if not chosen or chosen & {s.dataset, s.source}]
        classes = sorted({sample.label for sample in asked if sample.label})
        splits = class_folds(classes, question.folds, config.seed)
    else:
        names = question.splits or ((config.held_out,) if config.held_out else ())
        splits = [read_held_out(name) for name in names]
    if not splits:
        raise ValueError("which classes are unseen? Give --split or --folds")
    if question.overlap:
        splits = [replace(split, overlap=question.overlap) for split in splits]
    return splits


def _grown(
    problem: Problem, arms: Sequence[str], settings: Settings, growth: Growth, seed: int
) -> list[GrowthPoint]:
    return grow(
        problem,
        arms,
        settings,
        sample_shares=growth.sample_shares,
        class_counts=growth.class_counts,
        seed=seed,
    )
