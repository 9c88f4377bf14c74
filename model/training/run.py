"""A whole run: read manifests, keep held-out classes out, train, write the checkpoint."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from model.text import DEFAULT_TEXT_MODEL, SentenceTextEncoder, TextEncoder
from model.training.config import TrainConfig
from model.training.manifest import read_manifest
from model.training.ship import ship
from model.training.texts import read_held_out, without_overlap
from model.training.train import train


def run(
    config: TrainConfig,
    manifests: Sequence[Path],
    out: Path,
    *,
    command: Sequence[str],
    device: str = "cpu",
    max_minutes: float = float("inf"),
    text: TextEncoder | None = None,
    say: Callable[[str], None] = print,
) -> Path | None:
    """Train on `manifests` and write `out/checkpoint`; its directory.

    None when another process of the run writes it. A run that a time limit or SIGTERM ended
    before its last step writes the checkpoint of the steps done, and the same call goes on from
    there. `command` is what the model card says to repeat. Raises ManifestError, CheckpointError
    and ValueError.
    """
    text = text or SentenceTextEncoder(DEFAULT_TEXT_MODEL, device=device)
    every = [sample for manifest in manifests for sample in read_manifest(manifest)]
    held_out = read_held_out(config.held_out)
    samples, overlaps = without_overlap(every, held_out, text)
    if held_out.names:
        say(
            f"{len(every)} samples, {len(samples)} after leaving out {len(held_out.names)} classes "
            f"and {len(overlaps)} texts that overlap with them"
        )
    trained = train(config, samples, text, out, device=device, max_minutes=max_minutes, say=say)
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
        device=device,
        say=say,
    )
