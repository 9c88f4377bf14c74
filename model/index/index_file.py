"""An index to a file and back: a cache that is believed only when it is as we wrote it.

The file is eight letters with the format's version, the SHA-256 of all that follows, and then a
JSON header and arrays. Nothing in it is code and nothing is read by FAISS: the arrays are mapped,
so that processes on one host share the memory.
"""

import hashlib
import json
import math
import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from model.index.label_block import LabelBlock
from model.index.label_index import LabelIndex
from model.index.shortlist import Shortlist

_MAGIC = b"KNLXIDX1"
_DIGEST = slice(len(_MAGIC), len(_MAGIC) + 32)
_ALIGNMENT = 64
_SHORTLIST = ("directions", "levels", "codes")
# strings turned to JSON in one go, which holds up other threads
_AT_ONCE = 10_000


def save_index(index: LabelIndex, path: Path, stamp: Mapping[str, Any]) -> None:
    """Writes an index that is in one block, and what it is of (JSON), in place of the file.

    Whoever reads at the same time finds the old file or the new one. Raises OSError.
    """
    if len(index) != len(index.base):
        raise ValueError("only an index in one block can be saved")
    arrays = _arrays_of(index)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb+") as file:
            _write(file, arrays, stamp)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except BaseException:  # whatever it was, half a file is of no use
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_index(path: Path) -> tuple[dict[str, Any], LabelIndex] | None:
    """The stamp and the index; None when there is no file or when it is not as it was written.

    Reads the whole file once for its digest; the arrays stay on the disk until they are used.
    """
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    if content[: len(_MAGIC)] != _MAGIC:
        return None
    if hashlib.sha256(memoryview(content)[_DIGEST.stop :]).digest() != content[_DIGEST]:
        return None
    start = _DIGEST.stop + 8
    size = int.from_bytes(content[_DIGEST.stop : start], "little")
    header = json.loads(content[start : start + size])
    first = _aligned(start + size)
    arrays = {
        name: _mapped(content, first + entry["offset"], entry["dtype"], entry["shape"])
        for name, entry in header["arrays"].items()
    }
    return header["stamp"], _index_of(arrays)


def _mapped(content: mmap.mmap, offset: int, dtype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    count = math.prod(shape)
    if not count:
        return np.empty(shape, dtype)
    return np.frombuffer(content, dtype, count, offset).reshape(shape)


def _arrays_of(index: LabelIndex) -> dict[str, npt.NDArray[Any]]:
    base = index.base
    arrays: dict[str, npt.NDArray[Any]] = {
        "names": _packed(base.names),
        "orders": base.orders,
        "key_hashes": base.key_hashes,
        "starts": base.starts,
        "rows": base.rows,
        "background": base.background,
    }
    if base.texts != base.names:
        arrays["texts"] = _packed(base.texts)
    if index.shortlist is not None:
        arrays |= {name: getattr(index.shortlist, name) for name in _SHORTLIST}
    return arrays


def _index_of(arrays: Mapping[str, npt.NDArray[Any]]) -> LabelIndex:
    names = tuple(json.loads(arrays["names"].tobytes()))
    columns = ("orders", "key_hashes", "starts", "rows", "background")
    base = LabelBlock(
        names=names,
        texts=tuple(json.loads(arrays["texts"].tobytes())) if "texts" in arrays else names,
        **{name: arrays[name] for name in columns},
    )
    if _SHORTLIST[0] not in arrays:
        return LabelIndex.of(base, None)
    shortlist = Shortlist(len(base.rows), *(arrays[name] for name in _SHORTLIST))
    return LabelIndex.of(base, shortlist)


def _packed(strings: Sequence[str]) -> npt.NDArray[np.uint8]:
    pieces = (
        json.dumps(strings[start : start + _AT_ONCE])[1:-1]
        for start in range(0, len(strings), _AT_ONCE)
    )
    return np.frombuffer(f"[{','.join(pieces)}]".encode(), np.uint8)


def _write(
    file: IO[bytes], arrays: Mapping[str, npt.NDArray[Any]], stamp: Mapping[str, Any]
) -> None:
    entries: dict[str, dict[str, Any]] = {}
    offset = 0
    for name, array in arrays.items():
        entries[name] = {"dtype": array.dtype.str, "shape": array.shape, "offset": offset}
        offset = _aligned(offset + array.nbytes)
    header = json.dumps({"stamp": stamp, "arrays": entries}).encode()
    file.write(_MAGIC + bytes(32) + len(header).to_bytes(8, "little") + header)
    first = _aligned(file.tell())
    for name, array in arrays.items():
        file.seek(first + entries[name]["offset"])
        file.write(np.ascontiguousarray(array).data)
    file.seek(0)
    file.read(_DIGEST.stop)
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    file.seek(_DIGEST.start)
    file.write(digest.digest())


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
