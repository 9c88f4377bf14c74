"""Compare end-to-end training with frozen networks: all arms on the same unseen classes.

    kinolex train compare --preset small --data MANIFEST.csv --out runs/compare

An arm's answers are stored in `--out`, so that the same command continues where it was stopped.
`model.training.compare.candidates` describes the arms.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.text.text_encoder import TextEncoder
from model.training.compare.fold import Fold, Settings, features_of, frozen_network
from model.training.compare.problem import CachedText, pose_problem
from model.training.compare.standings import Answers, Comparison, compare_answers
from model.training.config import TrainConfig, as_document, from_document
from model.training.data.manifest import Sample, digest_of
from model.training.words.held_out import HeldOut

FROZEN = ("F0", "F1", "F2-linear", "F2", "F3")
ARMS = (*FROZEN, "E", "E+WiSE", "S")
_SEEDLESS = ("F0", "F1")


def compare_arms(
    config: TrainConfig,
    samples: Sequence[Sample],
    splits: Sequence[HeldOut],
    text: TextEncoder,
    settings: Settings,
    *,
    arms: Sequence[str] = ARMS,
    seeds: Sequence[int] = (0,),
) -> Comparison:
    """Run the arms on every split (fold) and seed, and compare them with the best frozen arm.

    Files that cannot be read are left out of all arms.

    Raises ValueError for an unknown arm, for splits without samples, and when `settings.out`
    holds another comparison; OverlapError and VideoError; Stopped when SIGTERM ended a run.
    """
    unknown = set(arms) - set(ARMS)
    if unknown:
        raise ValueError(f"no arm {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    if "F0" in arms and not config.word_head:
        raise ValueError("F0 needs a network that knows names (word_head); leave it out of --arms")
    if settings.trained and len(settings.trained) != len(splits):
        raise ValueError(f"{len(splits)} folds need as many checkpoints for E")
    _claim_folder(settings.out, config, samples, splits, text)
    cached = CachedText(text)
    samples = readable(config, samples, cached, settings)
    answers: list[Answers] = []
    for number, held_out in enumerate(splits):
        problem = pose_problem(config, samples, held_out, cached, settings.out)
        fold = Fold(problem, number, settings)
        for seed in seeds:
            for arm in arms:
                if arm in _SEEDLESS and seed != seeds[0]:
                    continue
                answer = fold.answer(arm, seed)
                settings.log(
                    f"fold {number} seed {seed} {arm}: validation "
                    f"{100 * answer.validation:.1f} %, test {100 * answer.top1('raw'):.1f} % raw, "
                    f"{100 * answer.top1('served'):.1f} % served ({answer.settings})"
                )
                answers.append(answer)
    return compare_answers(answers, [arm for arm in arms if arm in FROZEN])


def readable(
    config: TrainConfig, samples: Sequence[Sample], text: TextEncoder, settings: Settings
) -> list[Sample]:
    """Encode all samples with the frozen network; return those that can be read."""
    network = frozen_network(config, text, np.zeros(text.dim, np.float32))
    cache = features_of(network, config, text, settings.out, settings)
    seen = cache.embed(samples, settings.progress)
    if seen.broken:
        first = seen.broken[0]
        settings.log(
            f"{len(seen.broken)} files cannot be read and are left out, the first: "
            f"{first.sample.path} {first.sample.member}: {first.reason}"
        )
    return list(seen.samples)


def _claim_folder(
    out: Path,
    config: TrainConfig,
    samples: Sequence[Sample],
    splits: Sequence[HeldOut],
    text: TextEncoder,
) -> None:
    """Record this comparison in `out`. Raises ValueError when `out` holds another one."""
    question = {
        "config": as_document(config),
        "data": digest_of(samples),
        "text": text.model_hash,
        "splits": [_question_of(split) for split in splits],
    }
    document = json.dumps(question, sort_keys=True, indent=1) + "\n"
    path = out / "question.json"
    if path.exists() and not _is_same(json.loads(path.read_text(encoding="utf-8")), document):
        raise ValueError(f"{out} holds another comparison; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(document, encoding="utf-8")


def _is_same(saved: dict[str, Any], document: str) -> bool:
    """Whether a saved question equals this one; options it lacks have their defaults."""
    try:
        config = as_document(from_document(saved["config"]))
    except (KeyError, TypeError, ValueError):
        return False
    return bool(json.loads(json.dumps({**saved, "config": config})) == json.loads(document))


def _question_of(split: HeldOut) -> dict[str, Any]:
    """Convert a split to plain values, with the digest of a reviewed table instead of its path."""
    table = Path(split.overlap)
    decided = hashlib.sha256(table.read_bytes()).hexdigest() if table.is_file() else split.overlap
    return {**asdict(split), "overlap": decided}
