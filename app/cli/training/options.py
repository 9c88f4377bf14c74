"""Options that several commands on training data share."""

from pathlib import Path
from typing import Annotated

import typer

Manifests = Annotated[
    list[Path],
    typer.Option(help="Manifest of samples; may be repeated.", exists=True, dir_okay=False),
]
Fold = Annotated[
    int, typer.Option(min=1, max=3, help="Number of the official split of UCF101 or HMDB51.")
]
Device = Annotated[str, typer.Option(help="Device to run on: cpu or cuda.")]
Threads = Annotated[
    int, typer.Option(min=0, help="Number of torch threads; 0: torch's own choice.")
]
Preset = Annotated[str, typer.Option(help="Name of a preset, or a TOML file.")]
Steps = Annotated[
    int | None, typer.Option(min=1, help="Number of training steps; overrides the preset.")
]
Init = Annotated[
    str | None,
    typer.Option(
        help="Initial weights: scratch, imagenet, R2Plus1D_18_Weights.KINETICS400_V1, a file of "
        "such weights, a checkpoint directory, or a CLIP or SigLIP model (folder or Hub id). "
        "Overrides the preset."
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="Number format: fp32, bf16, or probe to use the faster one. Overrides the preset."
    ),
]
Workers = Annotated[
    int, typer.Option(min=0, help="Number of data loader processes per training process.")
]
TextModel = Annotated[
    str | None,
    typer.Option(
        help="Text model: name or folder of a sentence-transformers model, or a text file of "
        "word vectors."
    ),
]
Overlap = Annotated[
    str | None,
    typer.Option(
        help="Treatment of training texts that overlap with held-out classes: drop, keep, refuse, "
        "or a table from `kinolex data overlap`. Overrides the split."
    ),
]


def use_threads(threads: int) -> None:
    """Set the number of torch threads of this process; 0 changes nothing."""
    if threads:
        import torch

        torch.set_num_threads(threads)
