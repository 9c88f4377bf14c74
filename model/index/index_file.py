"""Save a label index to a safetensors file, and load it if it is exactly what was saved.

The file is a cache: one that is damaged, or of another format version, is ignored. Tensors are
memory-mapped, so that processes on one host share the memory. The metadata contain the format, the
caller's stamp (JSON), and a SHA-256 over the stamp and all tensors.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from model.index.label_block import LabelBlock
from model.index.label_index import LabelIndex
from model.index.shortlist import Shortlist

_FORMAT = "kinolex label index 3"
# Strings per call of the JSON encoder, which blocks other threads.
_BATCH = 10_000

_Arrays = Mapping[str, npt.NDArray[Any]]


def save_index(index: LabelIndex, path: Path, stamp: Mapping[str, Any]) -> None:
    """Write an index and its stamp (JSON) to `path`; the file is replaced atomically.

    A concurrent reader finds either the old file or the new one. Raises OSError, and ValueError
    unless all labels are in `index.base`.
    """
    if len(index) != len(index.base):
        raise ValueError("only an index in one block can be saved")
    arrays = _arrays_of(index)
    stamp_json = json.dumps(stamp)
    metadata = {"format": _FORMAT, "stamp": stamp_json, "sha256": _digest(stamp_json, arrays)}
    partial = path.with_name(path.name + ".partial")
    try:
        _save_file(arrays, partial, metadata)
        _sync(partial)
        partial.rename(path)
    except BaseException:  # whatever the reason, a partial file is useless
        partial.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def load_index(path: Path) -> tuple[dict[str, Any], LabelIndex] | None:
    """Return the stamp and the index, or None when there is no valid file.

    Reads the whole file once to check its digest. The index's arrays are read-only views of the
    memory-mapped file.
    """
    try:
        metadata, arrays = _load_file(path)
        if metadata.get("format") != _FORMAT:
            return None
        if metadata.get("sha256") != _digest(metadata.get("stamp", ""), arrays):
            return None
        return json.loads(metadata["stamp"]), _index_of(arrays)
    # RuntimeError: of torch, when the file shrinks while it is opened, and of FAISS, when another
    # version wrote the codes
    except (OSError, SafetensorError, RuntimeError):
        return None


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
        arrays["directions"] = index.shortlist.directions
        arrays |= {f"codes{n}": part for n, part in enumerate(index.shortlist.packed)}
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _index_of(arrays: _Arrays) -> LabelIndex:
    names = tuple(json.loads(arrays["names"].tobytes()))
    columns = ("orders", "key_hashes", "starts", "rows", "background")
    base = LabelBlock(
        names=names,
        texts=tuple(json.loads(arrays["texts"].tobytes())) if "texts" in arrays else names,
        **{name: arrays[name] for name in columns},
    )
    if "directions" not in arrays:
        return LabelIndex.of(base, None)
    codes = [arrays[name] for name in sorted(arrays) if name.startswith("codes")]
    return LabelIndex.of(base, Shortlist.unpacked(arrays["directions"], codes))


def _packed(strings: Sequence[str]) -> npt.NDArray[np.uint8]:
    pieces = (
        json.dumps(strings[start : start + _BATCH])[1:-1]
        for start in range(0, len(strings), _BATCH)
    )
    return np.frombuffer(f"[{','.join(pieces)}]".encode(), np.uint8)


def _digest(stamp: str, arrays: _Arrays) -> str:
    digest = hashlib.sha256(stamp.encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _load_file(path: Path) -> tuple[dict[str, str], dict[str, npt.NDArray[Any]]]:
    # framework "np" would copy the tensors; torch maps them
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118  # no mapping
    for array in arrays.values():
        array.flags.writeable = False
    return metadata, arrays


def _save_file(arrays: _Arrays, path: Path, metadata: dict[str, str]) -> None:
    try:
        save_file(dict(arrays), path, metadata)
    except SafetensorError as error:
        raise OSError(f"the index cannot be written: {error}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
