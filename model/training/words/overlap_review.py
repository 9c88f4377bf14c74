"""Overlaps of training texts with held-out classes, decided by rule or by a person.

`kinolex data overlap` writes what the rules found as a table. A person changes its `decision` to
`keep` where a rule is wrong, and to `drop` where one is missing; training reads it. What nobody
has decided stops a run before it starts.
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
_NEAR = 0.1  # beyond tau: shown for a person to see what the rules let pass


class OverlapError(ValueError):
    """Training texts that overlap with held-out classes, and nobody said what to do with them."""


@dataclass(frozen=True, slots=True)
class Review:
    """What the rules found between training texts and held-out classes.

    `labels` are the training labels and `nearest` (N,) their cosine distances to the nearest
    held-out class; `overlaps` fall under a rule, `near` are label pairs that just do not.
    """

    labels: tuple[str, ...]
    nearest: npt.NDArray[np.float32]
    overlaps: tuple[Overlap, ...]
    near: tuple[Overlap, ...]
    tau: float


def review(samples: Sequence[Sample], held_out: HeldOut, text: TextEncoder) -> Review:
    """Compare the texts of all samples but the held-out classes' own with the held-out classes.

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
    wider = label_overlaps(labels, held_out.names, distances, tau=held_out.tau + _NEAR)
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
    """`review` of what training would read, with the classes of a split by name or path.

    `tau` takes the place of the split's. Raises ManifestError, ValueError and OverlapError.
    """
    held_out = read_held_out(split)
    if tau is not None:
        held_out = replace(held_out, tau=tau)
    every = [sample for manifest in manifests for sample in read_manifest(manifest)]
    samples = [sample for sample in every if sample.split not in EVALUATION_SPLITS]
    return review(samples, held_out, SentenceTextEncoder(text_model or DEFAULT_TEXT_MODEL))


def write_review(path: Path, found: Review) -> None:
    """The table for a person: overlaps to drop first, then near misses to keep, nearest first."""
    decided = [(o, DROP) for o in _nearest_first(found.overlaps)]
    decided += [(o, KEEP) for o in _nearest_first(found.near)]
    rows = [
        (o.text, o.held_out, o.rule, "" if o.distance is None else f"{o.distance:.3f}", decision)
        for o, decision in decided
    ]
    write_rows(path, COLUMNS, rows)


def read_review(path: Path) -> Mapping[tuple[str, str], str]:
    """The decision about each text and class. Raises OverlapError naming every bad row."""
    decisions: dict[tuple[str, str], str] = {}
    problems: list[str] = []
    try:
        if lacking := {"text", "class", "decision"} - set(column_names(path)):
            raise OverlapError(f"{path} has no column {', '.join(sorted(lacking))}")
        for place, row in rows_of(path):
            decision = row["decision"].strip().lower() if row else ""
            if row is None:
                problems.append(f"{place}: more or fewer cells than the header")
            elif decision not in (DROP, KEEP):
                problems.append(f"{place}: decision is drop or keep, not {row['decision']!r}")
            else:
                decisions[row["text"], row["class"]] = decision
    except TableError as error:
        problems.append(str(error))
    if problems:
        raise OverlapError(f"{path}: {len(problems)} bad rows\n" + "\n".join(problems))
    return decisions


def texts_to_drop(found: Review, how: str) -> frozenset[str]:
    """Texts that training must not see. `how` is drop, keep, refuse, or a reviewed table's path.

    Raises OverlapError when something overlaps and `how` does not decide it.
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
            "Look at them with `kinolex data overlap`, then train with --overlap TABLE.csv, "
            "--overlap drop or --overlap keep."
        )
    return frozenset(text for (text, _), decision in decisions.items() if decision == DROP)


def without_texts(
    samples: Sequence[Sample], held_out: HeldOut, texts: frozenset[str]
) -> list[Sample]:
    """The samples that are neither of a held-out class nor say one of `texts`."""
    gone = texts | set(held_out.names)
    return [s for s in samples if not gone.intersection((s.label, *s.captions))]


def _nearest_first(overlaps: Iterable[Overlap]) -> list[Overlap]:
    far = 9.0  # captions have no distance and come last
    return sorted(
        overlaps, key=lambda o: (far if o.distance is None else o.distance, o.held_out, o.text)
    )
