"""Files that this process holds open."""

import os
from pathlib import Path


def open_files(name: str) -> list[str]:
    """Targets of this process's descriptors that contain `name`, by number of the descriptor.

    Other threads may open and close files meanwhile: a descriptor that was closed is left out.
    """
    found = []
    for descriptor in sorted(Path("/proc/self/fd").iterdir(), key=lambda path: int(path.name)):
        try:
            target = os.fspath(descriptor.readlink())
        except FileNotFoundError:
            continue
        if name in target:
            found.append(target)
    return found
