"""The model card: data and commands that made a checkpoint, and its measured accuracy."""

from collections.abc import Sequence
from string import Template

from model.checkpoint import CheckpointConfig
from model.text.source import CARRIED
from model.training.initial import names_torchvision
from model.training.lineage import commands_of, first_run, steps_of
from model.training.words.held_out import HeldOut

_CARD = Template("""\
---
${licence}library_name: kinolex
pipeline_tag: video-classification
tags: [zero-shot, open-vocabulary, video]
---

# $model_id

Maps short clips of video to the space of $text_model, so that a video can
be matched with any action named in words. $frames frames per video at $side px.

## Made by

    $command

$steps steps over $samples samples of: $sources.

The text and the pictures' sources are described in `docs/data.md`. Most of the pictures carry no
licence of their own and were used for training only; none is contained here. $origin

## Measured

On classes whose names, and every text that overlaps with them (same lemmas, one inside the other,
or a cosine distance below 0.25), were kept out of training. Accuracy among the classes of the row,
each video asked for all of them; 95 % intervals by bootstrap over classes.

| classes | samples | top-1 | top-5 | top-1, raw cosine |
|---|---|---|---|---|
$rows

Everything else (seen and unseen labels together, none of these, calibration, classes, mistakes)
comes with `kinolex evaluate CHECKPOINT --data MANIFEST --out FOLDER`.

Test classes: $test. Validation classes, which chose and calibrated: $validation.

## Limits

Trained mostly on still pictures: it names scenes, objects and postures better than motion.
Interactions between people, dark scenes and falls are weak. Scores are calibrated on the
validation classes above and drift on footage unlike it.
""")

_ORIGINS = {
    "scratch": """Its weights were random at
the start.""",
    "imagenet": """The backbone started
from EfficientNet-Lite weights (ImageNet, Apache-2.0), so that "unseen" below means unseen in this
training; ImageNet's 1,000 nouns had been seen by the backbone.""",
    "torchvision": """The backbone started
from torchvision's R(2+1)D-18, which was trained to tell the 400 classes of Kinetics apart: what
overlaps with those is not unseen below.""",
    "tower": """The network started
from an image-text model, whose licence holds for it, too. Its pretraining saw pictures and texts
that nobody kept apart from the classes below: this is not zero-shot in the sense of Brattoli et al.
(CVPR 2020, equation 3).""",
    "checkpoint": """The network started
from another checkpoint: what that one had seen is not unseen below.""",
}
_OURS = ("scratch", "imagenet")


def model_card(
    config: CheckpointConfig, held_out: HeldOut, sources: Sequence[str], samples: int
) -> str:
    """Render the README.md of a checkpoint; figures come from `config.provenance`."""
    provenance = config.provenance
    figures = provenance["figures"]
    origin = _origin(config)
    rows = [
        f"| {name} ({values['classes']}) | {values['samples']} "
        f"| {_percent(values['calibrated_top1'])} | {_percent(values['calibrated_top5'])} "
        f"| {_percent(values['raw_top1'])} |"
        for name, values in figures.items()
    ]
    return _CARD.substitute(
        model_id=config.model_id,
        licence="license: apache-2.0\n" if origin in _OURS else "",
        text_model=_text_model(config.text.model),
        origin=_ORIGINS[origin],
        frames=config.sampling.clips * config.sampling.frames_per_clip,
        side=config.preprocess.crop_side,
        command="\n    ".join(commands_of(provenance)),
        steps=" + ".join(map(str, steps_of(provenance))),
        samples=f"{samples:,}",
        sources=", ".join(sources),
        rows="\n".join(rows) or "| none held out | | | | |",
        test=", ".join(held_out.test) or "none",
        validation=", ".join(held_out.validation) or "none",
    )


def _origin(config: CheckpointConfig) -> str:
    """The key in `_ORIGINS` of the weights that the first run started from."""
    init = str(first_run(config.provenance)["init"])
    if init in _OURS:
        return init
    if config.encoder.tower is not None:
        return "tower"
    return "torchvision" if names_torchvision(init) else "checkpoint"


def _text_model(name: str) -> str:
    return "the text model in `text/`" if name == CARRIED else f"{name}'s sentence embeddings"


def _percent(figure: Sequence[float]) -> str:
    value, low, high = (100 * part for part in figure)
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"
