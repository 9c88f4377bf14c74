"""Digests of a folder's files, in the format of `sha256sum`: written with them, checked at load."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from model.errors import CheckpointError

DIGESTS_FILE = "SHA256SUMS"
# No part begins with a dot, so that no name leads out of the folder.
_NAME = r"\w[\w.-]*(?:/\w[\w.-]*)*"
_LINE = re.compile(rf"([0-9a-f]{{64}})  ({_NAME})")
_MAX_BYTES = 1_000_000


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_lines(digests: Mapping[str, str]) -> bytes:
    """Return the contents of the file of digests, for names relative to its folder.

    Files with other names than letters, digits and `_.-` are left out, and hidden ones.
    """
    plain = {name: digest for name, digest in digests.items() if re.fullmatch(_NAME, name)}
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(plain.items())).encode()


def check_digests(folder: Path) -> None:
    """Compare every file that the folder's SHA256SUMS names; nothing is checked without it.

    Raises CheckpointError, which names the first file that is missing or differs.
    """
    path = folder / DIGESTS_FILE
    try:
        lines = path.read_bytes()[:_MAX_BYTES].decode().splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise CheckpointError(
                f"{path} has a line that is not a digest and a name: {line!r:.80}"
            )
        _check(folder, match[2], match[1])


def _check(folder: Path, name: str, expected: str) -> None:
    try:
        found = sha256_of(folder / name)
    except OSError as error:
        raise CheckpointError(f"{folder / name} cannot be read: {error}") from error
    if found != expected:
        raise CheckpointError(
            f"{folder / name} is half written or was changed: its sha256 is {found}, "
            f"{DIGESTS_FILE} says {expected}. Copy the checkpoint again, or write {DIGESTS_FILE} "
            "anew with sha256sum if you changed the file on purpose"
        )
