"""Import an encoder of another project as a checkpoint: the one entry for all families."""

from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

from pydantic_core import from_json

from model.checkpoint import CheckpointConfig, TextConfig
from model.encoder.preprocess import PreprocessConfig
from model.errors import CheckpointError
from model.hub import Say, find_folder
from model.text.source import CARRIED, TEXT_FOLDER
from model.training.convert.image_text import FAMILIES, read_image_text
from model.training.convert.perception import OPEN_CLIP_CONFIG, WEIGHTS, is_open_clip, read_pe_core
from model.training.convert.save_imported import NO_SCORE_FIT, ScoreFit, save_with_scores
from model.training.convert.sentence_model import read_modules, read_sentence_model
from model.training.convert.towers import ImportedTowers
from model.training.convert.video_prism import read_video_prism
from model.video.sampling import SamplingConfig

# The small files say what a repository is; the large ones are fetched for a model that fits.
DESCRIPTIONS = ("*.json", "*.txt", "*.model", "*.jinja")
_DEFAULT_FRAMES = 8
_TOWERS = (*FAMILIES, "videoprism")
_REFUSED = {
    "xclip": "the text vectors of X-CLIP depend on the video that they are compared with, so that "
    "no index of labels can be built",
    "vjepa2": "V-JEPA 2 has no text tower",
}

_CARD = Template("""\
---
library_name: kinolex
pipeline_tag: video-classification
tags: [open-vocabulary, video]
---

# $model_id

$source, imported: $seen; its text tower, in `text/`, embeds the labels. It gets $frames frames of a
video. No weight was trained here.

    $command

**Not zero-shot in the sense of Brattoli et al. (CVPR 2020, equation 3).** Its pretraining data were
not compared with your classes: its accuracy on a benchmark is not an accuracy on classes that were
never seen. The licence is that of $source.

$pictures

$scores
""")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`frames` of a video, by default as many as the model was trained with, 8 for one of pictures.

    `templates` are prompt templates; `score_fit` says what the scores are fitted on; `say` receives
    sentences about a download.
    """

    frames: int | None = None
    templates: tuple[str, ...] = ("{}",)
    score_fit: ScoreFit = NO_SCORE_FIT
    say: Say | None = None


def import_model(
    name_or_path: str, out: Path, *, command: str, options: ImportOptions | None = None
) -> Path:
    """Convert a model, by folder or Hub id (`org/name[@revision]`), to a checkpoint; return `out`.

    CLIP, SigLIP, PE-Core, VideoPrism-LvT, and models of sentence-transformers that embed videos or
    images can be imported. `command` is quoted in the model card. Text vectors are not centred.
    Raises CheckpointError when the model is of another family, its weights are pickled, or its
    contract is wrong, and the errors of `save_with_scores`.
    """
    options = options or ImportOptions()
    if Path(name_or_path).resolve() == out.resolve():
        raise CheckpointError(f"{out} is the model itself; choose another folder")
    text = TextConfig(CARRIED, templates=options.templates)
    towers = read_towers(name_or_path, options.say)
    sha256 = towers.write_text(out / TEXT_FOLDER)
    config = CheckpointConfig(
        model_id=Path(name_or_path).name,
        encoder=towers.encoder,
        sampling=SamplingConfig(1, options.frames or towers.frames or _DEFAULT_FRAMES),
        preprocess=towers.preprocess,
        text=replace(text, sha256=sha256),
        provenance={"imported_from": name_or_path, "command": command, "seen": towers.seen},
    )
    return save_with_scores(
        out, config, towers.network, _card, options.score_fit, scale=towers.scale
    )


def read_towers(name_or_path: str, say: Say | None = None) -> ImportedTowers:
    """Load the towers of a model, by folder or Hub id. Raises CheckpointError."""
    folder = find_folder(name_or_path, DESCRIPTIONS, say)
    try:
        if is_open_clip(folder):
            return read_pe_core(find_folder(name_or_path, [*DESCRIPTIONS, WEIGHTS], say))
        modules = read_modules(folder)
        family = _family(modules.first if modules else folder, is_listed=modules is not None)
        folder = find_folder(name_or_path, [*DESCRIPTIONS, "*.safetensors"], say)
        if modules and (modules.others or family not in _TOWERS):
            return read_sentence_model(folder, modules)
        inside = modules.first if modules else folder
        return read_video_prism(inside) if family == "videoprism" else read_image_text(inside)
    except CheckpointError as error:
        raise CheckpointError(f"{name_or_path} cannot be imported: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        raise CheckpointError(f"{name_or_path} cannot be imported: {error}") from error


def _family(folder: Path, *, is_listed: bool) -> str:
    """Return the family of a model of transformers, which `modules.json` may list.

    Empty for a list that begins with another kind of module. Raises CheckpointError for a family
    that cannot be imported.
    """
    if is_listed and not (folder / "config.json").is_file():
        return ""
    try:
        document: Any = from_json((folder / "config.json").read_bytes())
        kind = str(document["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"it has no config.json of transformers and no {OPEN_CLIP_CONFIG}: {error}"
        ) from error
    if kind in _REFUSED:
        raise CheckpointError(_REFUSED[kind])
    if kind not in _TOWERS and not is_listed:
        raise CheckpointError(
            f"it is a model of type {kind!r}; CLIP, SigLIP of fixed size, PE-Core (open_clip), "
            "VideoPrism-LvT, and models of sentence-transformers can be imported"
        )
    return kind


def _card(config: CheckpointConfig, scores: str) -> str:
    pixels = config.preprocess
    return _CARD.substitute(
        model_id=config.model_id,
        source=config.provenance["imported_from"],
        seen=config.provenance["seen"],
        command=config.provenance["command"],
        frames=config.sampling.frames_per_clip,
        pictures=_pictures(pixels),
        scores=scores,
    )


def _pictures(pixels: PreprocessConfig) -> str:
    side = pixels.crop_side
    if pixels.whole:
        return (
            f"Frames are scaled to a short side of {side} px; the model's own processor does the "
            "rest."
        )
    if pixels.squash:
        return (
            f"Frames are resized to {side} x {side} px without keeping their aspect ratio, as in "
            "its\ntraining."
        )
    short = pixels.short_side
    return f"Frames are scaled to a short side of {short} px and cut to {side} x {side} px."
