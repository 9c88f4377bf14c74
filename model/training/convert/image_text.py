"""Convert an image-text model of the CLIP or SigLIP family to a checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from pydantic_core import from_json
from torch import Tensor, nn

from model.calibration import CalibrationConfig
from model.checkpoint import CheckpointConfig, TextConfig
from model.encoder.networks import EncoderConfig, FrameNetwork, build_network
from model.encoder.preprocess import PreprocessConfig
from model.encoder.vision_tower import TowerConfig
from model.errors import CheckpointError
from model.text.pretrained import without_progress_bars
from model.text.source import CARRIED, TEXT_FOLDER
from model.text.tower import TextTower
from model.training.convert.fit_scores import NO_SCORE_FIT, ScoreFit, save_with_scores
from model.video.sampling import SamplingConfig

FAMILIES = ("clip", "siglip")
# modules after the towers in sentence-transformers whose work Kinolex does itself
_HARMLESS = ("Normalize",)
_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")

_CARD = Template("""\
---
library_name: kinolex
pipeline_tag: video-classification
tags: [open-vocabulary, video]
---

# $model_id

$source, imported: its vision tower sees $frames frames of a video one by one, their features are
averaged, and its text tower, in `text/`, embeds the labels. No weight was trained here.

    $command

**Not zero-shot in the sense of Brattoli et al. (CVPR 2020, equation 3).** Its pretraining data were
not compared with your classes: its accuracy on a benchmark is not an accuracy on classes that were
never seen. The licence is that of $source.

Pictures are scaled to a short side of $short_side px and cropped to $side x $side; SigLIP itself
resizes pictures to a square without keeping their aspect ratio.

$scores
""")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImageTextModel:
    """A model as transformers loads it, with its tokenizer and preprocessing."""

    model: Any
    tokenizer: Any
    preprocess: PreprocessConfig
    source: str

    @property
    def family(self) -> str:
        """One of `FAMILIES`."""
        return str(self.model.config.model_type)


def import_model(
    name_or_path: str,
    out: Path,
    *,
    command: str,
    frames: int = 8,
    templates: Sequence[str] = ("{}",),
    score_fit: ScoreFit = NO_SCORE_FIT,
) -> Path:
    """Convert a model, by folder or Hub id, to a checkpoint in `out`; return `out`.

    `frames` per video are averaged; text vectors are not centred. `score_fit` names manifests for
    the background bank and the scores; `command` is quoted in the model card. Raises
    CheckpointError when the model is of another family or its weights are pickled, and the errors
    of `fit_scores`.
    """
    if Path(name_or_path).resolve() == out.resolve():
        raise CheckpointError(f"{out} is the model itself; choose another folder")
    text = TextConfig(CARRIED, templates=tuple(templates))
    found = read_image_text_model(name_or_path)
    text_sha256 = _write_text_tower(found, out / TEXT_FOLDER)
    network = _network_of(found)
    dim = network.head.linear.out_features
    config = CheckpointConfig(
        model_id=Path(name_or_path).name,
        encoder=EncoderConfig("vision_tower", dim, 0.0, tower=_tower_config(found.model)),
        sampling=SamplingConfig(1, frames),
        preprocess=found.preprocess,
        text=replace(text, sha256=text_sha256),
        calibration=_own_scale(found.model),
        provenance={"imported_from": found.source, "command": command},
    )
    return save_with_scores(out, config, network, _card, score_fit)


def _card(config: CheckpointConfig, scores: str) -> str:
    return _CARD.substitute(
        model_id=config.model_id,
        source=config.provenance["imported_from"],
        command=config.provenance["command"],
        frames=config.sampling.frames_per_clip,
        short_side=config.preprocess.short_side,
        side=config.preprocess.crop_side,
        scores=scores,
    )


def read_image_text_model(name_or_path: str) -> ImageTextModel:
    """Load a CLIP or SigLIP by folder or Hub id. Raises CheckpointError."""
    # imported here because it takes seconds and few runs need it
    from transformers import (
        AutoConfig,
        AutoImageProcessor,
        AutoTokenizer,
        CLIPModel,
        SiglipModel,
    )

    image_processor: Any = AutoImageProcessor
    folder = _transformers_folder(folder_of(name_or_path))
    here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(folder, **here).model_type
        if kind not in FAMILIES:
            raise CheckpointError(
                f"{name_or_path} is a model of type {kind!r}; only models of the CLIP family and "
                "SigLIP models of fixed size can be imported"
            )
        family: Any = CLIPModel if kind == "clip" else SiglipModel
        with without_progress_bars():
            model = family.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
            )
        return ImageTextModel(
            model.eval(),
            AutoTokenizer.from_pretrained(folder, **here),
            _preprocess_of(image_processor.from_pretrained(folder, **here), model),
            name_or_path,
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise CheckpointError(f"{name_or_path} cannot be imported: {error}") from error


def folder_of(name_or_path: str) -> Path:
    """Find the folder of a model, fetching it from the Hub if needed. Raises CheckpointError."""
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if path.is_absolute() or name_or_path.startswith("."):
        raise CheckpointError(f"{name_or_path} is not a directory")
    if "/" not in name_or_path:
        raise CheckpointError(f"{name_or_path} is not a directory, nor organisation/name of a hub")
    try:
        return Path(snapshot_download(name_or_path, allow_patterns=list(_FILES)))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name_or_path} is neither a directory nor a model on the Hub: {error}"
        ) from error


def _transformers_folder(folder: Path) -> Path:
    """Find the transformers model, which may be inside a sentence-transformers folder."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return folder
    try:
        first, *others = from_json(listed.read_bytes())
        kinds = [str(module["type"]).rpartition(".")[2] for module in others]
        inside = (folder / str(first["path"])).resolve()
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{listed} cannot be read: {error}") from error
    if not inside.is_relative_to(folder.resolve()):
        raise CheckpointError(f"{listed} points outside its folder")
    if extra := [kind for kind in kinds if kind not in _HARMLESS]:
        raise CheckpointError(
            f"{folder} has {', '.join(extra)} after its towers, which is not supported"
        )
    return inside


def _preprocess_of(processor: Any, model: Any) -> PreprocessConfig:
    side = int(model.config.vision_config.image_size)
    scaled_to = dict(processor.size or {}).get("shortest_edge") or side
    return PreprocessConfig(
        short_side=max(int(scaled_to), side),
        crop_side=side,
        max_aspect_ratio=1.0,
        mean=tuple(map(float, processor.image_mean)),  # type: ignore[arg-type]  # three channels
        std=tuple(map(float, processor.image_std)),  # type: ignore[arg-type]  # the same
    )


def _tower_config(model: Any) -> TowerConfig:
    vision = model.config.vision_config
    sizes = {f.name: getattr(vision, f.name) for f in fields(TowerConfig) if f.name != "family"}
    return TowerConfig(family=model.config.model_type, **sizes)


def _network_of(found: ImageTextModel) -> FrameNetwork:
    model, tower = found.model, _tower_config(found.model)
    projection = getattr(model, "visual_projection", None)
    # SigLIP has no projection
    weight: Tensor = torch.eye(tower.hidden_size) if projection is None else projection.weight
    network = build_network(EncoderConfig("vision_tower", len(weight), 0.0, tower=tower))
    assert isinstance(network, FrameNetwork)
    vision = {
        # some versions of transformers have one more level of modules
        name.removeprefix("vision_model."): value
        for name, value in model.vision_model.state_dict().items()
    }
    network.backbone.get_submodule("tower").load_state_dict(vision)
    with torch.no_grad():
        network.head.linear.weight.copy_(weight)
        nn.init.zeros_(network.head.linear.bias)
    return network


def _write_text_tower(found: ImageTextModel, folder: Path) -> str:
    """Write the text tower as a transformers folder; return the SHA-256 of its weights."""
    # imported here because it takes seconds and few runs need it
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, SiglipTextModel

    model = found.model
    text: Any
    if found.family == "clip":
        sizes = model.config.text_config.to_dict() | {"projection_dim": model.config.projection_dim}
        text = CLIPTextModelWithProjection(CLIPTextConfig(**sizes))
        text.text_projection.load_state_dict(model.text_projection.state_dict())
    else:
        text = SiglipTextModel(model.config.text_config)
    inner, source = (getattr(each, "text_model", each) for each in (text, model.text_model))
    inner.load_state_dict(source.state_dict())
    with without_progress_bars():
        text.save_pretrained(folder)
    found.tokenizer.save_pretrained(folder)
    return TextTower(folder).model_hash


def _own_scale(model: Any) -> CalibrationConfig:
    """Build the calibration with the logistic scale and bias that the model was trained with.

    CLIP has no bias: its cosines lie between 0 and about 0.4 (Hessel et al., EMNLP 2021, section
    3), so that the middle, 0.2, gets a score of 0.5. With a limit of 1 no video is unknown.
    """
    scale = float(np.exp(model.logit_scale.item()))
    bias = getattr(model, "logit_bias", None)
    return CalibrationConfig(
        score_slope=scale,
        score_bias=-0.2 * scale if bias is None else float(bias.item()),
        unknown_limit=1.0,
        unknown_false_positive_rate=0.0,
    )
