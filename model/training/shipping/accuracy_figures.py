"""The accuracy that a checkpoint's provenance and model card state."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.tagger import Tagger
from model.training.data.manifest import Sample
from model.training.features import Vectors
from model.training.measure.figures import RAW, SERVED, words_of
from model.training.measure.intervals import accuracy_interval
from model.training.measure.metrics import hits_at
from model.training.measure.sample_embeddings import embed_samples
from model.training.words.held_out import SplitSamples


def figures_of_classes(tagger: Tagger, samples: SplitSamples) -> Mapping[str, Any]:
    """Measure the validation and the test classes; a kind without samples is left out."""
    kinds = {"validation": samples.validation, "test": samples.test}
    return {name: measure(tagger, own) for name, own in kinds.items() if own}


def measure(tagger: Tagger, samples: Sequence[Sample]) -> Mapping[str, Any]:
    """Embed the samples, and measure as `figures_of_embeddings`."""
    return figures_of_embeddings(tagger, samples, embed_samples(tagger, samples))


def figures_of_embeddings(
    tagger: Tagger, samples: Sequence[Sample], embeddings: Vectors
) -> Mapping[str, Any]:
    """Measure accuracy among the samples' own classes, raw and calibrated.

    `embeddings` (N, dim) are those of the samples. Accuracies are lists [value, low, high] of
    shares 0..1 with a 95 % interval by bootstrap over classes.
    """
    words = words_of(tagger, sorted({sample.label for sample in samples}))
    by_kind = words.similarities(embeddings)
    targets = words.targets(samples)
    figures: dict[str, Any] = {"classes": len(words.labels), "samples": len(targets)}
    for name, kind in (("raw", RAW), ("calibrated", SERVED)):
        for k in (1, 5):
            share = accuracy_interval(hits_at(by_kind[kind], targets, k), targets)
            figures[f"{name}_top{k}"] = [round(v, 4) for v in (share.value, share.low, share.high)]
    return figures
