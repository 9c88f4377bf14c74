"""Lists the videos of a source: a folder, a glob, a file, or a Parquet file with a list of paths.

A source is a path of this computer or a URI of an object store (`s3://bucket/videos`); pyarrow's
filesystems read both.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
from fsspec.implementations.arrow import ArrowFSWrapper

from app.archive.batch.video_suffixes import VIDEO_SUFFIXES
from model import KinolexError

PATH_COLUMN = "path"
REFERENCES = pa.schema(
    [
        ("path", pa.string()),
        # -1 and 1970 where a list names the path: a million look-ups would take an hour
        ("size", pa.int64()),
        ("modified", pa.timestamp("us", "UTC")),
    ]
)
_UNKNOWN = datetime.fromtimestamp(0, UTC)
_WILDCARD = re.compile(r"[*?\[]")


class SourceError(KinolexError):
    """The source does not exist or cannot be read."""

    code = "source_not_readable"


@dataclass(frozen=True, slots=True)
class Source:
    """The videos of a source, sorted by path: rows of REFERENCES, and what reads their paths."""

    filesystem: fs.FileSystem
    references: pa.Table


def find_videos(source: str) -> Source:
    """List the videos of a source. Raises SourceError."""
    try:
        filesystem, path = open_place(source)
        if _WILDCARD.search(path):
            return Source(filesystem, _matching(filesystem, path))
        [found] = filesystem.get_file_info([path])
        if found.type is fs.FileType.Directory:
            return Source(filesystem, _in_folder(filesystem, path))
        if found.type is not fs.FileType.File:
            raise SourceError(f"{source}: there is no such file or folder")
        if path.endswith(".parquet"):
            return _listed(filesystem, path)
        return Source(filesystem, _table([found]))
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{source}: the file name {error.object!r} is not UTF-8; rename the file"
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{source}: {error}") from error


def open_place(place: str) -> tuple[fs.FileSystem, str]:
    """Return the filesystem of a path or URI, and the path in it. Raises OSError, ValueError."""
    if "://" in place:
        # pyarrow parses no wildcard in a URI
        wild = _WILDCARD.search(place)
        base = place if wild is None else place[: place.rindex("/", 0, wild.start()) + 1]
        filesystem, path = fs.FileSystem.from_uri(base)
        return filesystem, path if wild is None else f"{path.rstrip('/')}/{place[len(base) :]}"
    return fs.LocalFileSystem(), str(Path(place).absolute())


def _in_folder(filesystem: fs.FileSystem, path: str) -> pa.Table:
    found = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    return _table([each for each in found if each.extension.lower() in VIDEO_SUFFIXES])


def _matching(filesystem: fs.FileSystem, pattern: str) -> pa.Table:
    paths = sorted(ArrowFSWrapper(filesystem).glob(pattern))
    # a wrapped local path lacks the leading slash that pyarrow's has
    start = "/" if pattern.startswith("/") else ""
    return _table(filesystem.get_file_info([start + str(path).lstrip("/") for path in paths]))


def _table(infos: list[Any]) -> pa.Table:
    files = [each for each in infos if each.type is fs.FileType.File and each.base_name[0] != "."]
    files.sort(key=lambda each: each.path)
    rows = [(each.path, each.size, each.mtime or _UNKNOWN) for each in files]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        [pa.array(values, kind) for values, kind in zip(columns, REFERENCES.types, strict=True)],
        schema=REFERENCES,
    )


def _listed(filesystem: fs.FileSystem, path: str) -> Source:
    """Read a list; relative paths are those of the list's folder, URIs name one filesystem."""
    with filesystem.open_input_file(path) as file:
        parquet = pq.ParquetFile(file)
        if PATH_COLUMN not in parquet.schema_arrow.names:
            raise SourceError(f"{path} has no column {PATH_COLUMN!r}")
        names = parquet.read([PATH_COLUMN])[PATH_COLUMN].drop_null().unique().to_pylist()
    if names and "://" in names[0]:
        filesystem, first = open_place(names[0])
        base = names[0][: len(names[0]) - len(first)]
        foreign = next((name for name in names if not name.startswith(base)), None)
        if foreign is not None:
            raise SourceError(f"{path}: {foreign} is not on the filesystem of {names[0]}")
        names = [name.removeprefix(base) for name in names]
    else:
        folder = path.rpartition("/")[0]
        names = [name if name.startswith("/") else f"{folder}/{name}" for name in names]
    paths = pa.array(sorted(names), pa.string())
    unknown = [
        pa.array([value] * len(paths), REFERENCES.field(name).type)
        for name, value in (("size", -1), ("modified", 0))
    ]
    return Source(filesystem, pa.table([paths, *unknown], schema=REFERENCES))
