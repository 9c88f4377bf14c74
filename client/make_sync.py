"""Write the room `_sync` from the room `_async`: python client/make_sync.py [FOLDER]."""

import subprocess
import sys
from pathlib import Path

import unasync

PACKAGE = Path(__file__).resolve().parent / "kinolex_client"
# Methods and classes that the two clients call by different names.
REPLACEMENTS = {
    "AsyncClient": "Client",
    "AsyncKinolex": "Kinolex",
    "_async": "_sync",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "aread": "read",
    "async_run": "sync_run",
    "async_sleep": "sync_sleep",
}
NOTE = "# Written by client/make_sync.py; edit `_async` instead.\n"


def write(folder: Path) -> None:
    """Write the room `_sync` into a folder."""
    sources = sorted((PACKAGE / "_async").glob("*.py"))
    rule = unasync.Rule(f"{PACKAGE}/_async/", f"{folder}/", REPLACEMENTS)
    unasync.unasync_files([str(source) for source in sources if source.stem != "__init__"], [rule])
    written = [folder / source.name for source in sources]
    (folder / "__init__.py").write_text('"""The client that blocks, written from `_async`."""\n')
    for path in written:
        path.write_text(NOTE + path.read_text(encoding="utf-8"), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    settings = str(PACKAGE.parent.parent / "pyproject.toml")
    for command in (["check", "--quiet", "--fix"], ["format", "--quiet"]):
        subprocess.run([*ruff, *command, "--config", settings, *map(str, written)], check=True)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE / "_sync")
