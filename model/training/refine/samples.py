"""Choose the samples of a refinement: what is fitted on, what decides, what is only reported."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.training.data.manifest import EVALUATION_SPLITS, Sample

EVERYDAY_SPLIT = "validation"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class RefineSamples:
    """`training` may be fitted on; `everyday` are labelled videos to choose and fit scores on."""

    training: tuple[Sample, ...]
    everyday: tuple[Sample, ...]


def choose_samples(
    manifests: Sequence[Sequence[Sample]], per_source: int, limits: Mapping[str, int], seed: int
) -> RefineSamples:
    """Draw at most `per_source` training samples of each source, `limits` by its name.

    `manifests` are the samples of each manifest, which are shuffled by `seed`. Everyday videos are
    the labelled ones of the split `validation`.
    """
    taken: Counter[str] = Counter()
    training, everyday = [], []
    for samples in manifests:
        shuffled = list(samples)
        random.Random(seed).shuffle(shuffled)
        for sample in shuffled:
            limit = limits.get(sample.source, per_source)
            if sample.split not in EVALUATION_SPLITS and taken[sample.source] < limit:
                taken[sample.source] += 1
                training.append(sample)
        everyday += [s for s in samples if _is_everyday(s)]
    return RefineSamples(tuple(training), tuple(everyday))


def _is_everyday(sample: Sample) -> bool:
    return sample.split == EVERYDAY_SPLIT and bool(sample.label) and not sample.is_picture
