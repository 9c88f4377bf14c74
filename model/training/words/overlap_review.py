"""Decide about overlaps of training texts with held-out classes, by rule or by a reviewed table.

`kinolex data overlap` writes the overlaps found by the rules as a table. A person sets `decision`
to `keep` where a rule is wrong, and to `drop` where one is missing; training reads the table. A run
does not start while an overlap has no decision.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.text.pretrained import DEFAULT_TEXT_MODEL
from model.text.sentence_encoder import SentenceTextEncoder
from model.text.text_encoder import TextEncoder
from model.training.data.manifest import EVALUATION_SPLITS, Sample, read_manifest
from model.training.data.tables import TableError, column_names, rows_of, write_rows
from model.training.words.held_out import HeldOut, read_held_out
from model.training.words.overlap import Overlap, caption_overlaps, label_overlaps

DROP, KEEP, REFUSE = "drop", "keep", "refuse"
COLUMNS = ("text", "class", "rule", "distance", "decision")
_NEAR_MARGIN = 0.1  # pairs up to this distance beyond tau are listed for review


class OverlapError(ValueError):
    """Training texts overlap with held-out classes and there is no decision about them."""


@dataclass(frozen=True, slots=True)
class Review:
    """Overlaps of training texts with held-out classes.

    `labels` are the N training labels and `nearest` (N,) their cosine distances to the nearest
    held-out class; `overlaps` match a rule, `near` are label pairs that narrowly match none.
    """

    labels: tuple[str, ...]
    nearest: npt.NDArray[np.float32]
    overlaps: tuple[Overlap, ...]
    near: tuple[Overlap, ...]
    tau: float


def review(samples: Sequence[Sample], held_out: HeldOut, text: TextEncoder) -> Review:
    """Compare the texts of all samples, except those of held-out classes, with these classes.

    Raises OverlapError when no class is held out.
    """
    if not held_out.names:
        raise OverlapError("no class is held out, so nothing can overlap")
    own = set(held_out.names)
    others = [sample for sample in samples if sample.label not in own]
    labels = sorted({sample.label for sample in others if sample.label})
    captions = sorted({caption for sample in others for caption in sample.captions})
    encoded = text.encode([*labels, *held_out.names])
    distances = 1.0 - encoded[: len(labels)] @ encoded[len(labels) :].T
    found = label_overlaps(labels, held_out.names, distances, tau=held_out.tau)
    wider = label_overlaps(labels, held_out.names, distances, tau=held_out.tau + _NEAR_MARGIN)
    known = {(overlap.text, overlap.held_out) for overlap in found}
    near = (o for o in wider if (o.text, o.held_out) not in known)
    return Review(
        labels=tuple(labels),
        nearest=distances.min(axis=1),
        overlaps=(*found, *caption_overlaps(captions, held_out.names)),
        near=tuple(Overlap(o.text, o.held_out, "", o.distance) for o in near),
        tau=held_out.tau,
    )


def review_manifests(
    manifests: Sequence[Path],
    split: str,
    *,
    tau: float | None = None,
    text_model: str | None = None,
) -> Review:
    """Review the training samples of manifests against a split, by name or path.

    `tau` replaces the split's. Raises ManifestError, ValueError and OverlapError.
    """
    held_out = read_held_out(split)
    if tau is not None:
        held_out = replace(held_out, tau=tau)
    every = [sample for manifest in manifests for sample in read_manifest(manifest)]
    samples = [sample for sample in every if sample.split not in EVALUATION_SPLITS]
    return review(samples, held_out, SentenceTextEncoder(text_model or DEFAULT_TEXT_MODEL))


def write_review(path: Path, found: Review) -> None:
    """Write the table to review: overlaps to drop, then near pairs to keep, nearest first."""
    decided = [(o, DROP) for o in _nearest_first(found.overlaps)]
    decided += [(o, KEEP) for o in _nearest_first(found.near)]
    rows = [
        (o.text, o.held_out, o.rule, "" if o.distance is None else f"{o.distance:.3f}", decision)
        for o, decision in decided
    ]
    write_rows(path, COLUMNS, rows)


def read_review(path: Path) -> Mapping[tuple[str, str], str]:
    """Read the decision about each (text, class). Raises OverlapError that lists every bad row."""
    decisions: dict[tuple[str, str], str] = {}
    problems: list[str] = []
    try:
        if lacking := {"text", "class", "decision"} - set(column_names(path)):
            raise OverlapError(f"{path} has no column {', '.join(sorted(lacking))}")
        for position, row in rows_of(path):
            decision = row["decision"].strip().lower() if row else ""
            if row is None:
                problems.append(f"{position}: more or fewer cells than the header")
            elif decision not in (DROP, KEEP):
                problems.append(f"{position}: decision is drop or keep, not {row['decision']!r}")
            else:
                decisions[row["text"], row["class"]] = decision
    except TableError as error:
        problems.append(str(error))
    if problems:
        raise OverlapError(f"{path}: {len(problems)} bad rows\n" + "\n".join(problems))
    return decisions


def texts_to_drop(found: Review, how: str) -> frozenset[str]:
    """List the texts to drop. `how` is drop, keep, refuse, or the path of a reviewed table.

    Raises OverlapError when `how` does not decide about an overlap.
    """
    every = {overlap.text for overlap in found.overlaps}
    if how == DROP:
        return frozenset(every)
    if how == KEEP:
        return frozenset()
    decisions: Mapping[tuple[str, str], str] = {}
    if how != REFUSE:
        decisions = read_review(Path(how))
    undecided = [o for o in found.overlaps if (o.text, o.held_out) not in decisions]
    if undecided:
        shown = "\n".join(f"  {o.text!r} and {o.held_out!r}: {o.rule}" for o in undecided[:20])
        more = f"\n  and {len(undecided) - 20} more" if len(undecided) > 20 else ""
        raise OverlapError(
            f"{len(undecided)} training texts overlap with held-out classes:\n{shown}{more}\n"
            "Review them with `kinolex data overlap`, then train with --overlap TABLE.csv, "
            "--overlap drop or --overlap keep."
        )
    return frozenset(text for (text, _), decision in decisions.items() if decision == DROP)


def without_texts(
    samples: Sequence[Sample], held_out: HeldOut, texts: frozenset[str]
) -> list[Sample]:
    """Remove samples of held-out classes and samples with one of `texts`."""
    gone = texts | set(held_out.names)
    return [s for s in samples if not gone.intersection((s.label, *s.captions))]


def _nearest_first(overlaps: Iterable[Overlap]) -> list[Overlap]:
    far = 9.0  # captions have no distance and are listed last
    return sorted(
        overlaps, key=lambda o: (far if o.distance is None else o.distance, o.held_out, o.text)
    )
