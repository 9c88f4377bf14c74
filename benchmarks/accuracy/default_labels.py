"""The default labels on everyday videos.

`python -m benchmarks.accuracy.default_labels DATA --report OUT`.

DATA holds `videos/manifest.csv`; its labelled videos with the split `validation` are tagged with
the default labels of a new installation. A default label is right for a video if its text is near
the video's own label (cosine of at least 0.6 between their sentence embeddings); videos without
such a label have no right answer and only show what they attract. Prints accuracy, the labels that
come first too often, and pairs of labels that videos can hardly tell apart (correlation of their
similarities over all videos); `--report` writes them as default-labels.html. One JSON line last.
"""

import argparse
import html
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.store.label_store import everyday_actions
from benchmarks.accuracy.everyday import Case, embed, videos_of
from benchmarks.harness.checkpoint import FOLDER
from model import Label, Tagger, load_checkpoint
from model.training.report.pages import PAGE, table

Floats = npt.NDArray[np.floating]
_SAME = 0.6
_ALIKE = 0.9
_SURE = 0.6


@dataclass(frozen=True, slots=True)
class Attraction:
    """How often a label is a video's first tag, and how often of these it is wrong."""

    label: str
    first: int
    wrong: int
    wrong_videos: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two labels, and the correlation of their similarities over the videos."""

    one: str
    other: str
    correlation: float


@dataclass(frozen=True, slots=True)
class DefaultLabels:
    """Shares 0..1 of the `answerable` videos, those for which a default label is right.

    `sure` counts first tags with a score of 0.6 or more, over the answerable videos.
    """

    labels: int
    videos: int
    answerable: int
    top1: float
    top5: float
    sure: int
    sure_right: float
    attractions: tuple[Attraction, ...]
    pairs: tuple[Pair, ...]


def examine(tagger: Tagger, case: Case, names: Sequence[str]) -> DefaultLabels:
    """Tag the videos with the labels `names`."""
    labels = [Label(name) for name in names]
    index = tagger.index(labels)
    own = sorted(set(case.labels))
    texts = tagger.text.encode([*names, *own])
    near = texts[: len(names)] @ texts[len(names) :].T >= _SAME
    fits = {
        label: {names[int(row)] for row in np.flatnonzero(near[:, at])}
        for at, label in enumerate(own)
    }
    firsts: list[tuple[str, str, float]] = []
    five: list[bool] = []
    for embedding, label in zip(case.embeddings, case.labels, strict=True):
        tags, _ = tagger.tag_embedding(embedding, index, top_k=5)
        firsts.append((label, tags[0].label, tags[0].score))
        five.append(any(tag.label in fits[label] for tag in tags))
    asked = [(label, first, score) for label, first, score in firsts if fits[label]]
    sure = [first in fits[label] for label, first, score in asked if score >= _SURE]
    return DefaultLabels(
        len(names),
        len(firsts),
        len(asked),
        float(np.mean([first in fits[label] for label, first, _ in asked])),
        sum(five) / len(asked),
        len(sure),
        float(np.mean(sure)) if sure else float("nan"),
        _attractions(
            [(label, first) for label, first, _ in firsts if first not in fits[label]], firsts
        ),
        _pairs(_standardised(tagger, case, labels), names),
    )


def _attractions(
    wrong: Sequence[tuple[str, str]], firsts: Sequence[tuple[str, str, float]]
) -> tuple[Attraction, ...]:
    every = Counter(first for _, first, _ in firsts)
    missed = Counter(first for _, first in wrong)
    return tuple(
        Attraction(
            name, every[name], count, tuple(sorted({v for v, first in wrong if first == name}))
        )
        for name, count in missed.most_common(25)
    )


def _standardised(tagger: Tagger, case: Case, labels: Sequence[Label]) -> Floats:
    vectors = np.concatenate([each.vectors[:1] for each in tagger.prototypes(labels)])
    similarities = case.embeddings @ vectors.T
    result: Floats = (similarities - similarities.mean(axis=0)) / similarities.std(axis=0)
    return result


def _pairs(standardised: Floats, names: Sequence[str]) -> tuple[Pair, ...]:
    correlations = np.triu(standardised.T @ standardised / len(standardised), k=1)
    alike = np.argwhere(correlations >= _ALIKE)
    found = [Pair(names[i], names[j], round(float(correlations[i, j]), 3)) for i, j in alike]
    return tuple(sorted(found, key=lambda pair: -pair.correlation))


def write_report(folder: Path, tagger: Tagger, found: DefaultLabels) -> None:
    """Write `folder/default-labels.html`."""
    sections = [
        "<h2>Labels that attract wrong videos</h2>",
        "<p>How often a label is the first tag, how often of these it is wrong, and for which "
        "videos.</p>",
        table(
            ("label", "first", "wrong", "videos that are something else"),
            [
                (
                    html.escape(each.label),
                    str(each.first),
                    str(each.wrong),
                    html.escape(", ".join(each.wrong_videos)),
                )
                for each in found.attractions
            ],
        ),
        "<h2>Labels that videos hardly tell apart</h2>",
        f"<p>Correlation of at least {_ALIKE} over all videos.</p>",
        table(
            ("label", "label", "correlation"),
            [
                (html.escape(pair.one), html.escape(pair.other), f"{pair.correlation:.2f}")
                for pair in found.pairs
            ],
        ),
    ]
    page = PAGE.substitute(
        title="The default labels on everyday videos",
        introduction=f"Checkpoint {tagger.revision}. {found.videos} everyday videos are asked for "
        f"the {found.labels} default labels; {found.answerable} of them have a right one. Of these "
        f"the first tag is right for {100 * found.top1:.1f} %, one of the first five for "
        f"{100 * found.top5:.1f} %; of {found.sure} first tags with a score of {_SURE} or more, "
        f"{100 * found.sure_right:.0f} % are right.",
        sections="\n".join(sections),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "default-labels.html").write_text(page, encoding="utf-8")


def main() -> None:
    """Measure, print and write."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("data", type=Path)
    options.add_argument("--checkpoint", type=Path, default=FOLDER)
    options.add_argument("--report", type=Path, help="folder for default-labels.html")
    given = options.parse_args()
    tagger = load_checkpoint(given.checkpoint)
    case, _ = embed(tagger, videos_of(given.data))
    found = examine(tagger, case, everyday_actions())
    for each in found.attractions:
        print(
            f"{each.label}: first {each.first}, wrong {each.wrong}: {', '.join(each.wrong_videos)}"
        )
    for pair in found.pairs:
        print(f"{pair.one} / {pair.other}: {pair.correlation:.2f}")
    if given.report:
        write_report(given.report, tagger, found)
    figures = asdict(found)
    print(
        json.dumps(
            {key: value for key, value in figures.items() if key not in ("attractions", "pairs")}
        )
    )


if __name__ == "__main__":
    main()
