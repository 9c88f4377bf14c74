"""Summaries of a manifest: samples by data set, and files that cannot be read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from model.errors import VideoError
from model.training.data.manifest import Sample
from model.training.data.readers import read_clips, read_pair, read_picture
from model.training.progress import Progress, no_progress
from model.video.sampling import SamplingConfig

_SHORT_SIDE = 64
_SAMPLES_PER_GROUP = 256


@dataclass(frozen=True, slots=True)
class Holding:
    """Counts of one data set's rows of one split."""

    dataset: str
    split: str
    pictures: int
    videos: int
    labels: int
    captioned: int


def survey(samples: Sequence[Sample]) -> list[Holding]:
    """Count the rows of each data set and split, largest first."""
    groups = Counter((sample.dataset, sample.split) for sample in samples)
    holdings = []
    for (dataset, split), rows in groups.most_common():
        own = [s for s in samples if (s.dataset, s.split) == (dataset, split)]
        pictures = sum(s.is_picture for s in own)
        labels = len({s.label for s in own if s.label})
        captioned = sum(bool(s.captions) for s in own)
        holdings.append(Holding(dataset, split, pictures, rows - pictures, labels, captioned))
    return holdings


def unreadable(
    samples: Sequence[Sample], *, workers: int = 1, progress: Progress = no_progress
) -> Iterator[str]:
    """Yield each file that cannot be decoded, with the reason.

    Pictures are decoded completely, videos at two timestamps of their span, by `workers` threads.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for start in range(0, len(samples), _SAMPLES_PER_GROUP):
            part = samples[start : start + _SAMPLES_PER_GROUP]
            yield from (reason for reason in pool.map(_reason_unreadable, part) if reason)
            progress(start + len(part), len(samples))


def _reason_unreadable(sample: Sample) -> str:
    try:
        if sample.pair:
            read_pair(sample, _SHORT_SIDE)
        elif sample.is_picture:
            read_picture(sample, _SHORT_SIDE)
        else:
            read_clips(sample, SamplingConfig(1, 2, "spread"), _SHORT_SIDE)
    except (VideoError, OSError) as error:
        return f"{sample.path} {sample.member}".rstrip() + f": {error}"
    return ""
