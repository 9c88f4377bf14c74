"""What the importers of the families give: the parts of a checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.encoder.networks import EncoderConfig, Network
from model.encoder.preprocess import PreprocessConfig
from model.text.pretrained import without_progress_bars
from model.text.tower import TextTower


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImportedTowers:
    """A network with its configuration, the other side that embeds texts, and the contract.

    `write_text` writes the text model to a folder and returns its hash. `frames` is the number of
    frames of a clip that the model was trained with, 0 for a model of pictures. `scale` is what
    cosines were multiplied by in training, None where the model does not state it. `seen` is a
    sentence for the model card: how the model sees a video.
    """

    network: Network
    encoder: EncoderConfig
    preprocess: PreprocessConfig
    write_text: Callable[[Path], str]
    frames: int
    scale: float | None
    seen: str


def write_text_tower(tower: Any, tokenizer: Any, folder: Path) -> str:
    """Write a text tower of transformers as a folder; return the SHA-256 of its weights."""
    with without_progress_bars():
        tower.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TextTower(folder).model_hash
