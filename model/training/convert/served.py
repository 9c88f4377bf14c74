"""The checkpoint to serve for any name: a checkpoint's, or that of a model that can be imported."""

import hashlib
import os
import shlex
import shutil
from pathlib import Path

from model.checkpoint import find_checkpoint, is_checkpoint
from model.errors import CheckpointError
from model.hub import Say, find_folder
from model.training.convert.import_model import DESCRIPTIONS, ImportOptions, import_model
from model.training.convert.save_imported import ScoreFit


def checkpoint_to_serve(name_or_path: str, cache: Path, say: Say) -> str:
    """Fetch a checkpoint, or import a model into the folder `cache`; return what to load.

    `name_or_path` is a folder or a Hub id, `org/name[@revision]`. A model is imported once for each
    of its versions; its scores are carried over without a video. `say` receives sentences about
    what takes long. Raises CheckpointError.
    """
    folder = find_folder(name_or_path, DESCRIPTIONS, say)
    if is_checkpoint(folder):
        find_checkpoint(name_or_path, say)
        return name_or_path
    name = name_or_path.rstrip("/").rpartition("/")[2]
    target = cache / f"{name}-{_version(folder)}"
    if is_checkpoint(target):
        return str(target)
    say(f"{name_or_path} is not a checkpoint of Kinolex: importing it, once, into {target}")
    # several processes may do this at once; the first to finish renames its folder
    partial = target.with_name(f"{target.name}-{os.getpid()}")
    try:
        import_model(
            name_or_path,
            partial,
            command=shlex.join(["kinolex", "checkpoint", "import", name, "--out", target.name]),
            options=ImportOptions(score_fit=ScoreFit(log=say), say=say),
        )
        partial.replace(target)
    except OSError as error:
        if not is_checkpoint(target):
            raise CheckpointError(f"{name_or_path} cannot be imported: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return str(target)


def _version(folder: Path) -> str:
    """Return 12 hex digits that change when a file of a folder does."""
    digest = hashlib.sha256(str(folder.resolve()).encode())
    for path in sorted(folder.rglob("*.json")):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_mtime_ns}".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
