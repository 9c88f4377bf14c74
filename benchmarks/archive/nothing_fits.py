"""Measure how often a search says rightly that nothing fits: run it with an ARCHIVE and a MANIFEST.

The archive is one of `kinolex archive tag` over clips that the manifest names (columns `path`,
`label`). Random archives of its clips are searched for each label: with one clip of it, and with
none.
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.archive.batch.folder import ArchiveFolder
from app.archive.batch.rows import analyses_in
from app.archive.batch.sources import open_place
from model import Label, Tagger, load_checkpoint

Floats = npt.NDArray[np.float64]

_SIZES = (10, 30, 100, 150)
_POWERS = (0.0, 0.289, 0.4, 0.5, 0.75)
_ROUNDS = 6
# Labels whose vectors are nearer than this may show the same.
_SAME = 0.5


@dataclass(frozen=True, slots=True)
class _Clips:
    """The `labels` (L,), which of them each clip shows (N,), and the least unknown (N, L).

    `same` (L, L) marks labels that may show the same.
    """

    labels: list[str]
    shown: npt.NDArray[np.intp]
    unknown: Floats
    same: npt.NDArray[np.bool_]


def main() -> None:
    """Print the shares of present and of absent actions that are known, for powers and sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive")
    parser.add_argument("manifest", type=Path)
    options = parser.parse_args()
    tagger = load_checkpoint()
    clips = _read(options.archive, options.manifest, tagger)
    limit = tagger.calibration.config.unknown_limit
    print(f"{len(clips.shown)} clips, {len(clips.labels)} labels")
    for size in _SIZES:
        present, absent = _lowest(clips, size)
        shares = [
            (power, _known(present, size**power, limit), _known(absent, size**power, limit))
            for power in _POWERS
        ]
        print(size, *(f"{power}: {one:.2f}, {other:.2f};" for power, one, other in shares))


def _read(archive: str, manifest: Path, tagger: Tagger) -> _Clips:
    with manifest.open(newline="") as file:
        labels_of = {
            str((manifest.parent / row["path"]).absolute()): row["label"]
            for row in csv.DictReader(file)
        }
    folder = ArchiveFolder.find(*open_place(archive), tagger.video_space)
    paths = {row["sha256"]: row["path"] for row in folder.paths_of_videos().to_pylist()}
    found = [
        (labels_of[paths[each.sha256]], each.windows.embeddings)
        for rows in folder.tables()
        for each in analyses_in(rows)
        if paths.get(each.sha256) in labels_of
    ]
    labels = sorted({label for label, _ in found})
    prototypes = tagger.prototypes([Label(label) for label in labels])
    vectors = np.concatenate([each.vectors[:1] for each in prototypes])
    level, spread = np.concatenate([each.background[:1] for each in prototypes]).T
    unknown = [
        _least_unknown(tagger, (embeddings @ vectors.T - level) / spread, embeddings)
        for _, embeddings in found
    ]
    shown = np.array([labels.index(label) for label, _ in found])
    return _Clips(labels, shown, np.array(unknown), vectors @ vectors.T >= _SAME)


def _least_unknown(
    tagger: Tagger, standardised: npt.NDArray[np.float32], embeddings: npt.NDArray[np.float32]
) -> list[float]:
    calibration = tagger.calibration
    none = calibration.none_weights(embeddings).tolist()
    return [
        min(
            calibration.scale([value], weight).unknown
            for value, weight in zip(column, none, strict=True)
        )
        for column in standardised.T.tolist()
    ]


def _lowest(clips: _Clips, size: int) -> tuple[Floats, Floats]:
    """Return the least unknown of searches for a present and for an absent action."""
    random = np.random.default_rng(0)
    present, absent = [], []
    for label in range(len(clips.labels)):
        own = np.flatnonzero(clips.shown == label)
        others = np.flatnonzero(~clips.same[label][clips.shown])
        for _ in range(_ROUNDS):
            some = random.choice(others, min(size, len(others)), replace=False)
            absent.append(clips.unknown[some, label].min())
            some[0] = random.choice(own)
            present.append(clips.unknown[some, label].min())
    return np.array(present), np.array(absent)


def _known(lowest: Floats, factor: float, limit: float) -> float:
    against = lowest * factor
    return float((against / (against + 1 - lowest) <= limit).mean())


if __name__ == "__main__":
    main()
