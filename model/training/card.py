"""The model card: what a checkpoint was made from, how, and how good it was measured to be."""

from collections.abc import Sequence
from string import Template

from model.checkpoint import CheckpointConfig
from model.training.texts import HeldOut

_CARD = Template("""\
---
license: apache-2.0
library_name: kinolex
pipeline_tag: video-classification
tags: [zero-shot, open-vocabulary, video]
---

# $model_id

Maps short clips of video to the space of $text_model's sentence embeddings, so that a video can
be matched with any action named in words. $frames frames per video at $side px.

## Made by

    $command

$steps steps over $samples samples of: $sources.

The text and the pictures' sources are described in `docs/data.md`. Most of the pictures carry no
licence of their own and were used for training only; none is contained here. The backbone started
from EfficientNet-Lite weights (ImageNet, Apache-2.0), so that "unseen" below means unseen in this
training; ImageNet's 1,000 nouns had been seen by the backbone.

## Measured

On classes whose names, and every text that overlaps with them (same lemmas, one inside the other,
or a cosine distance below 0.25), were kept out of training. Accuracy among the classes of the row,
each video asked for all of them; 95 % intervals by bootstrap over classes.

| classes | samples | top-1 | top-5 | top-1, raw cosine |
|---|---|---|---|---|
$rows

Test classes: $test. Validation classes, which chose and calibrated: $validation.

## Limits

Trained mostly on still pictures: it names scenes, objects and postures better than motion.
Interactions between people, dark scenes and falls are weak. Scores are calibrated on the
validation classes above and drift on footage unlike it.
""")


def model_card(
    config: CheckpointConfig, held_out: HeldOut, sources: Sequence[str], samples: int
) -> str:
    """The README.md of a checkpoint; figures come from `config.provenance`."""
    provenance = config.provenance
    figures = provenance["figures"]
    rows = [
        f"| {name} ({values['classes']}) | {values['samples']} "
        f"| {_percent(values['calibrated_top1'])} | {_percent(values['calibrated_top5'])} "
        f"| {_percent(values['raw_top1'])} |"
        for name, values in figures.items()
    ]
    return _CARD.substitute(
        model_id=config.model_id,
        text_model=config.text.model,
        frames=config.sampling.clips * config.sampling.frames_per_clip,
        side=config.preprocess.crop_side,
        command=provenance["command"],
        steps=provenance["steps"],
        samples=f"{samples:,}",
        sources=", ".join(sources),
        rows="\n".join(rows) or "| none held out | | | | |",
        test=", ".join(held_out.test) or "none",
        validation=", ".join(held_out.validation) or "none",
    )


def _percent(figure: Sequence[float]) -> str:
    value, low, high = (100 * part for part in figure)
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"
