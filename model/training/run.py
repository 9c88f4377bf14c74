"""A whole run: read manifests, keep held-out classes out, train, write the checkpoint."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from model.text.pretrained import DEFAULT_TEXT_MODEL
from model.text.source import load_text_encoder
from model.text.text_encoder import TextEncoder
from model.training.config import TrainConfig
from model.training.data.manifest import EVALUATION_SPLITS, Sample, read_manifest
from model.training.initial import adopt
from model.training.ship import ship
from model.training.train import train
from model.training.words.overlap_review import review, texts_to_drop, without_texts
from model.training.words.phrases import with_phrases
from model.training.words.texts import HeldOut, read_held_out


def run(
    config: TrainConfig,
    manifests: Sequence[Path],
    out: Path,
    *,
    command: Sequence[str],
    overlap: str | None = None,
    device: str = "cpu",
    workers: int = 1,
    max_minutes: float = float("inf"),
    tensorboard: bool = False,
    text: TextEncoder | None = None,
    text_model: str | None = None,
    say: Callable[[str], None] = print,
) -> Path | None:
    """Train on `manifests` and write `out/checkpoint`; its directory.

    None when another process of the run writes it. A run that a time limit or SIGTERM ended
    before its last step writes the checkpoint of the steps done, and the same call goes on from
    there. Rows of a `val` or `test` split are not trained on. `overlap` decides about texts that
    overlap with held-out classes (`review.texts_to_drop`) instead of the split. `command` is what
    the model card says to repeat. Raises ManifestError, OverlapError, CheckpointError and
    ValueError.
    """
    every = [sample for manifest in manifests for sample in read_manifest(manifest)]
    held_out = read_held_out(config.held_out)
    config, own_text_model = adopt(config, out)
    text_model = text_model or own_text_model or DEFAULT_TEXT_MODEL
    text = text or load_text_encoder(text_model, device=device)
    config = replace(config, dim=text.dim)
    samples = [sample for sample in every if sample.split not in EVALUATION_SPLITS]
    if held_out.names:
        samples = _apart(samples, held_out, text, overlap or held_out.overlap, say)
    if not samples:
        raise ValueError("no sample is left to train on")
    if config.phrases:
        samples = with_phrases(samples, held_out, text, out)
    trained = train(
        config,
        samples,
        text,
        out,
        device=device,
        workers=workers,
        max_minutes=max_minutes,
        tensorboard=tensorboard,
        say=say,
    )
    if not trained.is_first:
        return None
    return ship(
        config,
        trained,
        text,
        samples=samples,
        held_out=held_out,
        all_samples=every,
        out=out,
        command=shlex.join(command),
        text_model=text_model,
        device=device,
        say=say,
    )


def _apart(
    samples: Sequence[Sample],
    held_out: HeldOut,
    text: TextEncoder,
    overlap: str,
    say: Callable[[str], None],
) -> list[Sample]:
    """The samples that may be trained on. Raises OverlapError when `overlap` leaves that open."""
    found = review(samples, held_out, text)
    dropped = texts_to_drop(found, overlap)
    kept = without_texts(samples, held_out, dropped)
    left = {o.text for o in found.overlaps} - dropped
    say(
        f"{len(samples)} samples, {len(kept)} after leaving out {len(held_out.names)} classes and "
        f"{len(dropped)} texts that overlap with them"
        + (f"; {len(left)} overlapping texts stay, as told" if left else "")
    )
    return kept
