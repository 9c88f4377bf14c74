"""The model card of a refined checkpoint."""

from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

from model.checkpoint import CheckpointConfig
from model.training.lineage import commands_of
from model.training.refine.samples import RefineSamples

_CARD = Template("""\
---
license: apache-2.0
library_name: kinolex
pipeline_tag: video-classification
tags: [zero-shot, open-vocabulary, video]
---

# $model_id

Maps short clips of video to a space in which they can be compared with any action named in words:
$frames frames per video at $side px, EfficientNet-Lite2, $text_model's sentence embeddings for the
words.

## Made by

    $commands

The first command trained the network end to end; the second one kept $share of what that changed in
ImageNet's weights, fitted the linear layer again on $samples samples, and added knowledge as text:
`knowledge/classes.tsv` says for each class of ImageNet what people do in a video whose frames look
like it, `knowledge/actions.tsv` lists everyday actions that a set's labels are compared with. That
is side information about words, not footage.

Sources: $sources. They are described in `docs/data.md`. Most of the pictures carry no licence of
their own and were used for training only; none is contained here. ImageNet's weights are those of
EfficientNet-Lite (Apache-2.0); its 1,000 nouns had been seen by the backbone.

## Measured

Accuracy among the labels of the row, each video asked for all of them; 95 % intervals by bootstrap
over labels. Held-out classes: their names, and every text that overlaps with them, were kept out of
what these rows measure, and are in what the checkpoint was fitted on at the end. Everyday videos
were never trained on; choices were made and scores fitted on them, each half of them compared by
the levels of the other half, so that these rows are too high by what the choices fitted by chance.

| labels | samples | top-1 | top-5 |
|---|---|---|---|
$rows

## Scores

`score` is the probability that a viewer would agree with the tag, `unknown` that a viewer would
agree with none; both were fitted on $fitted_on. On footage unlike it they drift.

## Limits

Fitted mostly on still pictures: it names scenes, objects, animals and postures better than motion.
Interactions between people, dark scenes, falls, and fine differences of movement are weak.
""")
_NAMES = {
    "validation": "held-out classes, validation",
    "test": "held-out classes, test",
    "everyday_without_held_out": "everyday videos, without the held-out classes",
    "everyday": "everyday videos, the checkpoint as it is",
}


def refined_card(config: CheckpointConfig, samples: RefineSamples, share: float) -> str:
    """Render the README.md of a refined checkpoint; figures come from `config.provenance`.

    `share` is that of the trained weights, 0 to 1.
    """
    figures: Mapping[str, Mapping[str, Any]] = config.provenance["figures"]
    sources = sorted({sample.source for sample in samples.training})
    return _CARD.substitute(
        model_id=config.model_id,
        frames=config.sampling.clips * config.sampling.frames_per_clip,
        side=config.preprocess.crop_side,
        text_model=config.text.model,
        commands="\n    ".join(commands_of(config.provenance)),
        share=f"{100 * share:g} %",
        samples=f"{len(samples.training):,}",
        sources=", ".join(sources),
        rows="\n".join(
            f"| {_NAMES[name]} ({values['classes']}) | {values['samples']} "
            f"| {_percent(values, 'top1')} | {_percent(values, 'top5')} |"
            for name, values in figures.items()
        ),
        fitted_on=config.calibration.fitted_on,
    )


def _percent(values: Mapping[str, Sequence[float]], name: str) -> str:
    figure = values[name] if name in values else values[f"calibrated_{name}"]
    value, low, high = (100 * part for part in figure)
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"
