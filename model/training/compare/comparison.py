"""`kinolex train compare` from manifests to the page: arms on folds, growth, distances, report."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.text.pretrained import DEFAULT_TEXT_MODEL
from model.text.source import load_text_encoder
from model.text.text_encoder import TextEncoder
from model.training.compare.compare_arms import ARMS, compare_arms, readable
from model.training.compare.comparison_report import write_comparison
from model.training.compare.fold import Settings
from model.training.compare.growth import GrowthPoint, distances_to_training, grow
from model.training.compare.problem import CachedText, class_folds, pose_problem
from model.training.config import TrainConfig
from model.training.data.manifest import Sample, read_manifest
from model.training.initial import adopt
from model.training.words.held_out import HeldOut, read_held_out

LEARNED = "E"


@dataclass(frozen=True, slots=True)
class UnseenClasses:
    """The unseen classes: splits by name or path, or `folds` over the classes of data sets.

    With neither, the configuration's own split. `classes_of` names data sets or zip files, none
    for all. `overlap` replaces the splits' own decision about overlapping texts.
    """

    splits: tuple[str, ...] = ()
    folds: int = 0
    classes_of: tuple[str, ...] = ()
    overlap: str | None = None


@dataclass(frozen=True, slots=True)
class GrowthParts:
    """The parts of the data for growth curves; an empty tuple leaves that curve out."""

    sample_shares: tuple[float, ...] = ()
    class_counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """The arms to compare, with their seeds, data and unseen classes.

    `text_model` replaces the text model of the checkpoint that `config.init` names, or the default.
    """

    config: TrainConfig
    manifests: tuple[Path, ...]
    unseen: UnseenClasses = field(default_factory=UnseenClasses)
    arms: tuple[str, ...] = ARMS
    seeds: tuple[int, ...] = (0,)
    growth: GrowthParts = field(default_factory=GrowthParts)
    text_model: str | None = None


def run_comparison(
    request: ComparisonRequest, settings: Settings, *, text: TextEncoder | None = None
) -> Path:
    """Compare the arms, write `comparison.html` and `comparison.json`, and return the page's path.

    Growth curves are of the best frozen arm and of E on the first fold. Raises ManifestError and
    the errors of `compare_arms`.
    """
    every = [sample for manifest in request.manifests for sample in read_manifest(manifest)]
    config, adopted_text_model = adopt(request.config, settings.out)
    text_model = request.text_model or adopted_text_model or DEFAULT_TEXT_MODEL
    text = CachedText(text or load_text_encoder(text_model, device=settings.device))
    config = replace(config, dim=text.dim)
    splits = _splits(config, every, request.unseen)
    comparison = compare_arms(
        config, every, splits, text, settings, arms=request.arms, seeds=request.seeds
    )
    samples = readable(config, every, text, settings)
    distances: dict[str, float] = {}
    points: list[GrowthPoint] = []
    for number, held_out in enumerate(splits):
        problem = pose_problem(config, samples, held_out, text, settings.out)
        distances |= distances_to_training(problem)
        if number == 0:
            growing = [arm for arm in request.arms if arm in (comparison.best_frozen, LEARNED)]
            points = grow(
                problem,
                growing,
                settings,
                sample_shares=request.growth.sample_shares,
                class_counts=request.growth.class_counts,
                seed=request.seeds[0],
            )
    return write_comparison(comparison, settings.out, distances=distances, growth=points)


def _splits(config: TrainConfig, samples: Sequence[Sample], unseen: UnseenClasses) -> list[HeldOut]:
    if unseen.folds:
        chosen = set(unseen.classes_of)
        known = {name for sample in samples for name in (sample.dataset, sample.source)}
        if unknown := chosen - known:
            raise ValueError(
                f"no data set {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
            )
        usable = [s for s in samples if not chosen or chosen & {s.dataset, s.source}]
        classes = sorted({sample.label for sample in usable if sample.label})
        splits = class_folds(classes, unseen.folds, config.seed)
    else:
        names = unseen.splits or ((config.held_out,) if config.held_out else ())
        splits = [read_held_out(name) for name in names]
    if not splits:
        raise ValueError("no class is unseen. Give --split or --folds")
    if unseen.overlap:
        splits = [replace(split, overlap=unseen.overlap) for split in splits]
    return splits
