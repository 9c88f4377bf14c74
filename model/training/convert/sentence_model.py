"""Import a sentence-transformers model that embeds videos or images beside texts.

CLIP, SigLIP and VideoPrism in this layout, without further layers, are imported as towers; this is
for all others, which the library itself runs (`model.encoder.sentence_tower`).
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic_core import from_json
from torch import nn

from model.encoder.networks import EncoderConfig, VideoTowerNetwork
from model.encoder.preprocess import PreprocessConfig
from model.encoder.sentence_tower import SentenceModality, SentenceTower, SentenceTowerConfig
from model.errors import CheckpointError
from model.text.sentence_encoder import SentenceTextEncoder
from model.training.convert.contract import (
    check_pixels,
    check_rescaling,
    check_size,
    check_tokenizer,
)
from model.training.convert.towers import ImportedTowers

MODULES = "modules.json"
# Kinolex normalises embeddings itself.
_HARMLESS = ("Normalize",)
_LIBRARY = "sentence_transformers."
_COPIED = (".json", ".txt", ".model", ".jinja", ".safetensors")
# Short side in pixels of frames for a processor with a budget of pixels instead of a size.
_SIDE = 384
_MAX_SIDE = 1024
_DEFAULT_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Modules:
    """The modules of a model: folder of the first, folders of all, and kinds of those after it."""

    first: Path
    folders: tuple[Path, ...]
    others: tuple[str, ...]


def read_modules(folder: Path) -> Modules | None:
    """Read the list of modules of sentence-transformers; None for another layout.

    Raises CheckpointError where the list cannot be read, points outside the folder, or names code
    that is not the library's.
    """
    listed = folder / MODULES
    if not listed.is_file():
        return None
    try:
        modules = from_json(listed.read_bytes())
        kinds = [str(module["type"]) for module in modules[1:]]
        first = str(modules[0].get("type", _LIBRARY))
        folders = tuple((folder / str(module["path"])).resolve() for module in modules)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise CheckpointError(f"{listed} cannot be read: {error}") from error
    if not all(each.is_relative_to(folder.resolve()) for each in folders):
        raise CheckpointError(f"{listed} points outside its folder")
    for kind in (first, *kinds, *_routed_kinds(folders)):
        if not kind.startswith(_LIBRARY):
            raise CheckpointError(f"{kind} is code of the model's own, which is not run")
    others = [kind.rpartition(".")[2] for kind in kinds]
    return Modules(folders[0], folders, tuple(each for each in others if each not in _HARMLESS))


def _routed_kinds(folders: Sequence[Path]) -> list[str]:
    """Return the types of modules that a Router among the modules lists."""
    found: list[str] = []
    for path in (each / "router_config.json" for each in folders):
        if path.is_file():
            document = from_json(path.read_bytes())
            found += [str(kind) for kind in document.get("types", {}).values()]
    return found


def read_sentence_model(folder: Path, modules: Modules) -> ImportedTowers:
    """Load a model that embeds texts, and videos or images.

    Raises CheckpointError for a model without one of these sides, a wrong contract or pickled
    weights, and the errors of the library.
    """
    for each in modules.folders:
        if list(each.glob("*.bin")) and not list(each.glob("*.safetensors")):
            raise CheckpointError(f"{each.name} has pickled weights, which are not read")
    text = SentenceTextEncoder(str(folder))
    model: Any = text.model
    supports = getattr(model, "supports", None)
    if supports is None:
        raise CheckpointError("it needs sentence-transformers 5.4 or newer")
    if not supports("text") or not (supports("video") or supports("image")):
        raise CheckpointError(
            f"it embeds {', '.join(map(str, model.modalities))}; texts, and videos or images are "
            "needed"
        )
    modality: SentenceModality = "video" if supports("video") else "image"
    processor = _processor_of(model, modality)
    _check_contract(model, processor)
    rate = float(getattr(processor, "fps", None) or 1.0)
    config = SentenceTowerConfig("sentence_transformers", modality, rate)
    tower = SentenceTower(config)
    tower.use(model)
    side = _side_of(processor)
    _probe(text, tower, side)
    frames = int(getattr(processor, "num_frames", None) or _DEFAULT_FRAMES)
    unit = 1 / 255
    encoder = EncoderConfig("sentence_tower", text.dim, 0.0, tower=config)
    return ImportedTowers(
        network=_network_of(encoder),
        encoder=encoder,
        preprocess=PreprocessConfig(
            side, side, 1.0, (0.0, 0.0, 0.0), (unit, unit, unit), whole=True
        ),
        write_text=partial(_copy, folder, modules, text.model_hash),
        frames=frames if modality == "video" else 0,
        scale=None,
        seen=(
            f"the model sees the frames at once, as {rate:g} a second of a video"
            if modality == "video"
            else "the model sees frames one by one as images, and their embeddings are averaged"
        ),
    )


def _network_of(encoder: EncoderConfig) -> VideoTowerNetwork:
    network = VideoTowerNetwork(encoder)
    with torch.no_grad():
        nn.init.eye_(network.head.linear.weight)
        nn.init.zeros_(network.head.linear.bias)
    return network


def _processor_of(model: Any, modality: str) -> Any:
    """Return the processor of videos or images, None for a model without one of its own."""
    processor = getattr(model[0], "processor", None)
    if modality == "image":
        return getattr(processor, "image_processor", None)
    return getattr(processor, "video_processor", None)


def _check_contract(model: Any, processor: Any) -> None:
    config = model[0].model.config if hasattr(model[0], "model") else None
    if config is not None and model.tokenizer is not None:
        check_tokenizer(model.tokenizer, config.get_text_config().vocab_size)
    if processor is None:
        return
    if getattr(processor, "do_normalize", False):
        check_rescaling(processor)
        check_pixels(processor.image_mean, processor.image_std)
    wanted = getattr(getattr(config, "vision_config", None), "image_size", None)
    crops = getattr(processor, "do_center_crop", False)
    found = dict((processor.crop_size if crops else processor.size) or {}).get("height")
    if isinstance(wanted, int) and found is not None:
        check_size(int(found), wanted, "the processor")


def _side_of(processor: Any) -> int:
    """Return the short side in pixels with which frames are handed to the processor."""
    size = dict(getattr(processor, "size", None) or {})
    side = int(size.get("shortest_edge") or size.get("height") or _SIDE)
    return side if side <= _MAX_SIDE else _SIDE


def _probe(text: SentenceTextEncoder, tower: SentenceTower, side: int) -> None:
    """Refuse a model that fails, or gives different texts or videos the same vector."""
    pixels = torch.randint(
        0, 256, (2, 2, 3, side, side), generator=torch.Generator().manual_seed(0)
    )
    try:
        seen = tower(pixels.float()).float().cpu().numpy()
        read = text.encode(["a person riding a horse", "two dogs in the snow"])
    except (KeyError, AttributeError) as error:
        raise CheckpointError(
            f"pooling: its modules give no vector of a whole input ({error})"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"size: the model does not take what its own processor makes of frames of {side} px: "
            f"{error}"
        ) from error
    if seen.shape != read.shape or seen.ndim != 2:
        raise CheckpointError(
            f"pooling: texts have vectors of {read.shape[1:]}, videos of {seen.shape[1:]}"
        )
    for name, vectors in (("texts", read), ("videos", seen)):
        if not np.isfinite(vectors).all() or np.allclose(vectors[0], vectors[1], atol=1e-6):
            raise CheckpointError(f"pooling: different {name} have the same vector")


def _copy(source: Path, modules: Modules, model_hash: str, target: Path) -> str:
    """Copy the files of the modules, without pickled ones; return the hash of the model."""
    root = source.resolve()
    for folder in {root, *modules.folders}:
        # other files may be beside the modules, but not inside
        for path in folder.glob("*") if folder == root else folder.rglob("*"):
            if path.is_file() and path.suffix in _COPIED:
                copied = target / path.absolute().relative_to(root)
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copied)
    return model_hash
