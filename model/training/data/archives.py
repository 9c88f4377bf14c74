"""Members of zip and tar shards by name, read in place: nothing is extracted.

Handles and tables are kept for each process apart, so that a data worker which was forked from
this process shares no file position with it.
"""

import os
import tarfile
import zipfile
from functools import lru_cache
from pathlib import Path

from model.errors import CorruptVideo

TAR_SUFFIXES = frozenset({".tar"})
_OPEN_SHARDS = 128
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, OSError)


def member_names(path: Path) -> frozenset[str]:
    """Names of a shard's files. Raises CorruptVideo when it cannot be read."""
    try:
        if path.suffix in TAR_SUFFIXES:
            return frozenset(_tar_places(path, os.getpid()))
        return frozenset(_zip(path, os.getpid()).namelist())
    except _DAMAGE as error:
        raise CorruptVideo(f"{path} is no readable shard: {error}") from error


def read_member(path: Path, name: str) -> bytes:
    """Bytes of one file of a shard. Raises CorruptVideo when there are none to be had."""
    try:
        if path.suffix not in TAR_SUFFIXES:
            return _zip(path, os.getpid()).read(name)
        offset, size = _tar_places(path, os.getpid())[name]
        with path.open("rb") as file:
            file.seek(offset)
            payload = file.read(size)
    except (KeyError, *_DAMAGE) as error:
        raise CorruptVideo(f"{name} cannot be read from {path}: {error}") from error
    if len(payload) < size:
        raise CorruptVideo(f"{name} is cut off at the end of {path}")
    return payload


@lru_cache(_OPEN_SHARDS)
def _zip(path: Path, process: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@lru_cache(_OPEN_SHARDS)
def _tar_places(path: Path, process: int) -> dict[str, tuple[int, int]]:
    """First byte and length in bytes of each regular file."""
    with tarfile.open(path, "r:") as tar:
        return {entry.name: (entry.offset_data, entry.size) for entry in tar if entry.isreg()}
