"""Read members of zip and tar shards by name, without extracting the shards.

Open files and member tables are cached per process: a forked data worker must not share a file
position with its parent.
"""

import os
import tarfile
import zipfile
from functools import lru_cache
from pathlib import Path

from model.errors import CorruptVideo

TAR_SUFFIXES = frozenset({".tar"})
_MAX_OPEN_SHARDS = 128
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, OSError)


def member_names(path: Path) -> frozenset[str]:
    """List the names of a shard's files. Raises CorruptVideo when it cannot be read."""
    try:
        if path.suffix in TAR_SUFFIXES:
            return frozenset(_tar_members(path, os.getpid()))
        return frozenset(_zip(path, os.getpid()).namelist())
    except _DAMAGE as error:
        raise CorruptVideo(f"{path} cannot be read as a shard: {error}") from error


def read_member(path: Path, name: str) -> bytes:
    """Read one file of a shard. Raises CorruptVideo when it is missing or cannot be read."""
    try:
        if path.suffix not in TAR_SUFFIXES:
            return _zip(path, os.getpid()).read(name)
        offset, size = _tar_members(path, os.getpid())[name]
        with path.open("rb") as file:
            file.seek(offset)
            payload = file.read(size)
    except (KeyError, *_DAMAGE) as error:
        raise CorruptVideo(f"{name} cannot be read from {path}: {error}") from error
    if len(payload) < size:
        raise CorruptVideo(f"{name} is truncated at the end of {path}")
    return payload


@lru_cache(_MAX_OPEN_SHARDS)
def _zip(path: Path, process: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@lru_cache(_MAX_OPEN_SHARDS)
def _tar_members(path: Path, process: int) -> dict[str, tuple[int, int]]:
    """Offset and length in bytes of each regular file, by name."""
    with tarfile.open(path, "r:") as tar:
        return {entry.name: (entry.offset_data, entry.size) for entry in tar if entry.isreg()}
