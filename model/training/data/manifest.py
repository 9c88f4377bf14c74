"""The manifest: one row for each video or picture to train or evaluate on.

Columns of a CSV or Parquet file: `path` relative to the manifest's folder (or `shard` and `name`,
a member of a zip or tar shard), `label`, `captions` (joined by ` || `), `start`, `end` (seconds,
empty for the whole video), `dataset`, `split`, and `pair`, a second picture that shows how the
action ends (relative to the manifest like `path`, or in the same shard). A row needs a label or
captions; other columns are ignored.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import CorruptVideo
from model.training.data.archives import TAR_SUFFIXES, member_names
from model.training.data.tables import TableError, column_names, rows_of, write_rows

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
CAPTION_SEPARATOR = " || "
EVALUATION_SPLITS = frozenset({"val", "validation", "test"})  # never trained on
COLUMNS = (
    *("path", "shard", "name", "label", "captions"),
    *("start", "end", "dataset", "split", "pair"),
)


class ManifestError(ValueError):
    """A manifest has invalid rows; the message lists all of them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A row of a manifest: file, texts, data set and split.

    `member` names an entry of the shard at `path`, or is empty when `path` is the file itself.
    `start_seconds` and `end_seconds` bound the labelled span, None for the start and end of the
    video. `pair` is a second picture, a member of the same shard or a path, empty for none.
    """

    path: Path
    member: str
    label: str
    captions: tuple[str, ...]
    dataset: str
    split: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    pair: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether the file is a still picture, by its suffix."""
        return Path(self.member or self.path).suffix.lower() in PICTURE_SUFFIXES

    @property
    def source(self) -> str:
        """The group for balanced sampling: the zip file, or the data set (with all tar shards)."""
        in_zip = self.member and self.path.suffix not in TAR_SUFFIXES
        return self.path.name if in_zip else self.dataset

    @property
    def texts(self) -> tuple[str, ...]:
        """The sample's texts: the label, or the captions without a label."""
        return (self.label,) if self.label else self.captions


def read_manifest(path: Path, *, check_files: bool = True) -> list[Sample]:
    """Read all rows of a CSV or Parquet manifest. Raises ManifestError that lists every bad row.

    `check_files` also checks that files and shard members exist.
    """
    samples: list[Sample] = []
    problems: list[str] = []
    known: dict[tuple[Path, bool], frozenset[str] | str] = {}
    try:
        _check_columns(path)
        for position, row in rows_of(path):
            try:
                sample = _sample(row, path.parent)
                if check_files:
                    _check_files(sample, known)
                samples.append(sample)
            except ValueError as error:
                problems.append(f"{position}: {error}")
    except TableError as error:
        problems.append(str(error))
    if problems:
        raise ManifestError(f"{path}: {len(problems)} bad rows\n" + "\n".join(problems))
    return samples


def write_manifest(path: Path, samples: Sequence[Sample]) -> None:
    """Write a CSV or (by suffix) Parquet manifest; paths become relative to its folder."""
    folder = path.parent.resolve()
    write_rows(path, COLUMNS, [_row(sample, folder) for sample in samples])


def digest_of(samples: Sequence[Sample]) -> str:
    """Compute a SHA-256 digest (hex) of names, texts and spans, without the files' folders."""
    digest = hashlib.sha256()
    for s in samples:
        files = (s.path.name, s.member, Path(s.pair).name)
        digest.update(repr((files, s.label, s.captions, s.start_seconds, s.end_seconds)).encode())
    return digest.hexdigest()


def _check_columns(path: Path) -> None:
    names = column_names(path)
    if not {"path", "shard"} & set(names) or not {"label", "captions"} & set(names):
        raise TableError(
            f"{path} needs a column `path` (or `shard` and `name`) and `label` or `captions`; "
            f"it has {', '.join(names) or 'none'}"
        )


def _sample(row: dict[str, str] | None, folder: Path) -> Sample:
    if row is None:
        raise ValueError("has more or fewer cells than the header")
    path, shard, name, pair = (
        row.get(key, "").strip() for key in ("path", "shard", "name", "pair")
    )
    if bool(path) == bool(shard):
        raise ValueError("needs either `path` or `shard` and `name`")
    if shard and not name:
        raise ValueError("`shard` needs `name`")
    label = row.get("label", "").strip()
    captions = tuple(part.strip() for part in row.get("captions", "").split("||") if part.strip())
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
        dataset=row.get("dataset", "").strip(),
        split=row.get("split", "").strip(),
        start_seconds=start,
        end_seconds=end,
        pair=pair if shard or not pair else str(folder / pair),
    )


def _seconds(row: dict[str, str], column: str) -> float | None:
    text = row.get(column, "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{column} {text!r} is not a time in seconds")
    return seconds


def _check_files(sample: Sample, known: dict[tuple[Path, bool], frozenset[str] | str]) -> None:
    """Raise ValueError when a file of the sample is missing; `known` caches contents by path."""
    key = (sample.path, bool(sample.member))
    if key not in known:
        known[key] = _contents(sample)
    names = known[key]
    if isinstance(names, str):
        raise ValueError(names)
    if sample.member:
        absent = [name for name in (sample.member, sample.pair) if name and name not in names]
        if absent:
            raise ValueError(f"{sample.path} holds no {' and no '.join(absent)}")
    elif sample.pair and not Path(sample.pair).is_file():
        raise ValueError(f"no file {sample.pair}")


def _contents(sample: Sample) -> frozenset[str] | str:
    """List the names in the sample's shard (empty for a plain file), or return an error message."""
    if not sample.path.is_file():
        return f"no file {sample.path}"
    try:
        return member_names(sample.path) if sample.member else frozenset()
    except CorruptVideo as error:
        return str(error)


def _row(sample: Sample, folder: Path) -> tuple[str, ...]:
    location = os.path.relpath(sample.path.resolve(), folder)
    pair = sample.pair
    if pair and not sample.member:
        pair = os.path.relpath(Path(pair).resolve(), folder)
    start, end = (
        "" if seconds is None else f"{seconds:.6f}".rstrip("0").rstrip(".")
        for seconds in (sample.start_seconds, sample.end_seconds)
    )
    return (
        "" if sample.member else location,
        location if sample.member else "",
        sample.member,
        sample.label,
        CAPTION_SEPARATOR.join(sample.captions),
        start,
        end,
        sample.dataset,
        sample.split,
        pair,
    )
