"""Checks at the start that the service can write to its folders."""

import tempfile
from pathlib import Path

from model import KinolexError


class FolderNotUsable(KinolexError):
    """The service cannot write to one of its folders; raised at start."""

    code = "folder_not_usable"


def check_folder(path: Path, setting: str, *, create: bool = False) -> None:
    """Write a file without a name to the folder. Raises FolderNotUsable, which names the setting.

    `create`: make the folder if there is none.
    """
    try:
        if create:
            path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"\0")
            file.flush()
    except OSError as error:
        raise FolderNotUsable(
            f"{setting}: cannot write to {path}: {error.strerror or error}"
        ) from error
