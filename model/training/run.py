"""A whole run: read the manifests, remove held-out classes, train, write the checkpoint."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model.text.pretrained import DEFAULT_TEXT_MODEL
from model.text.source import load_text_encoder
from model.text.text_encoder import TextEncoder
from model.training.config import TrainConfig
from model.training.data.manifest import EVALUATION_SPLITS, Sample, read_manifest
from model.training.initial import adopt
from model.training.resources import Log, TrainingResources
from model.training.ship import Shipment, ship
from model.training.train import train
from model.training.words.held_out import HeldOut, SplitSamples, read_held_out
from model.training.words.overlap_review import review, texts_to_drop, without_texts
from model.training.words.phrases import with_phrases


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The configuration and manifests of a run, and the folder `out` for its files.

    State, log and checkpoint are written to `out`.
    Rows of a `val` or `test` split are not trained on. `overlap` replaces the split's own decision
    about texts that overlap with held-out classes (`overlap_review.texts_to_drop`). `text_model`
    replaces the text model of the checkpoint that the run starts from, or the default. `command`
    is quoted in the model card.
    """

    config: TrainConfig
    manifests: tuple[Path, ...]
    out: Path
    command: tuple[str, ...]
    overlap: str | None = None
    text_model: str | None = None


def run(
    request: RunRequest, resources: TrainingResources, *, text: TextEncoder | None = None
) -> Path | None:
    """Train and write `out/checkpoint`; return that directory, None in processes of other ranks.

    A run that a time limit or SIGTERM ended early writes the checkpoint of the steps done; the same
    call continues from there. `text` replaces the encoder that the text model's name stands for.
    Raises ManifestError, OverlapError, CheckpointError and ValueError.
    """
    every = [sample for manifest in request.manifests for sample in read_manifest(manifest)]
    held_out = read_held_out(request.config.held_out)
    config, adopted_text_model = adopt(request.config, request.out)
    text_model = request.text_model or adopted_text_model or DEFAULT_TEXT_MODEL
    text = text or load_text_encoder(text_model, device=resources.device)
    config = replace(config, dim=text.dim)
    samples = [sample for sample in every if sample.split not in EVALUATION_SPLITS]
    if held_out.names:
        overlap = request.overlap or held_out.overlap
        samples = _without_held_out(samples, held_out, text, overlap, resources.log)
    if not samples:
        raise ValueError("no sample is left to train on")
    if config.phrases:
        samples = with_phrases(samples, held_out, text, request.out)
    trained = train(config, samples, text, request.out, resources)
    if not trained.is_first:
        return None
    shipment = Shipment(
        config=config,
        trained=trained,
        samples=SplitSamples(tuple(samples), tuple(every), held_out),
        text=text,
        text_model=text_model,
        command=shlex.join(request.command),
    )
    return ship(shipment, request.out, resources)


def _without_held_out(
    samples: Sequence[Sample], held_out: HeldOut, text: TextEncoder, overlap: str, log: Log
) -> list[Sample]:
    """Remove held-out classes and the texts that overlap with them.

    Raises OverlapError when `overlap` does not decide about every overlapping text.
    """
    found = review(samples, held_out, text)
    dropped = texts_to_drop(found, overlap)
    kept = without_texts(samples, held_out, dropped)
    remaining = {o.text for o in found.overlaps} - dropped
    log(
        f"{len(samples)} samples, {len(kept)} without the {len(held_out.names)} held-out classes "
        f"and {len(dropped)} texts that overlap with them"
        + (f"; {len(remaining)} overlapping texts are kept, as requested" if remaining else "")
    )
    return kept
