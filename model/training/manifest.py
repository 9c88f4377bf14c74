"""The manifest: one row for each video or picture to train or evaluate on.

CSV columns: `path` relative to the manifest's folder (or `shard` and `name`, a member of a zip or
tar shard), `label`, `captions` (joined by ` || `), `start`, `end` (seconds, empty for the whole
video), `dataset`, `split`. A row needs a label or captions.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
CAPTION_SEPARATOR = " || "


class ManifestError(ValueError):
    """A manifest with bad rows; the message lists every one of them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A row: where the bytes are, what they show, and where the row came from.

    `member` names the entry of the shard that `path` points to, or is empty when `path` is the
    file itself. `start_seconds` and `end_seconds` bound the span that the label is about.
    """

    path: Path
    member: str
    label: str
    captions: tuple[str, ...]
    dataset: str
    split: str
    start_seconds: float | None = None
    end_seconds: float | None = None

    @property
    def is_picture(self) -> bool:
        """Whether the bytes are a still picture."""
        return Path(self.member or self.path).suffix.lower() in PICTURE_SUFFIXES

    @property
    def source(self) -> str:
        """The shard or data set that the sample is balanced with."""
        return self.path.name if self.member else self.dataset

    @property
    def texts(self) -> tuple[str, ...]:
        """What the sample shows, in words: the label, or the captions where there is none."""
        return (self.label,) if self.label else self.captions


def read_manifest(path: Path, *, check_files: bool = True) -> list[Sample]:
    """All rows of a CSV manifest. Raises ManifestError naming every bad row."""
    samples: list[Sample] = []
    problems: list[str] = []
    existing: dict[Path, bool] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                sample = _sample(row, path.parent)
            except ValueError as error:
                problems.append(f"line {number}: {error}")
                continue
            if check_files and not existing.setdefault(sample.path, sample.path.is_file()):
                problems.append(f"line {number}: no file {sample.path}")
                continue
            samples.append(sample)
    if problems:
        raise ManifestError(f"{path}: {len(problems)} bad rows\n" + "\n".join(problems))
    return samples


def _sample(row: dict[str, str | None], folder: Path) -> Sample:
    path, shard, name = (row.get(key) or "" for key in ("path", "shard", "name"))
    if bool(path) == bool(shard):
        raise ValueError("needs either `path` or `shard` and `name`")
    if shard and not name:
        raise ValueError("`shard` needs `name`")
    label = (row.get("label") or "").strip()
    captions = tuple(
        part.strip() for part in (row.get("captions") or "").split("||") if part.strip()
    )
    if not label and not captions:
        raise ValueError("needs a label or captions")
    start, end = _seconds(row, "start"), _seconds(row, "end")
    if end is not None and end <= (start or 0.0):
        raise ValueError(f"end {end} is not after start {start or 0.0}")
    return Sample(
        path=folder / (path or shard),
        member=name if shard else "",
        label=label,
        captions=captions,
        dataset=(row.get("dataset") or "").strip(),
        split=(row.get("split") or "").strip(),
        start_seconds=start,
        end_seconds=end,
    )


def _seconds(row: dict[str, str | None], column: str) -> float | None:
    text = (row.get(column) or "").strip()
    if not text:
        return None
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{column} {text} is not a time in seconds")
    return seconds
