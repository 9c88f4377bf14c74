"""`kinolex archive tag`: from a source to an archive, again and again until all is done."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs
from filelock import FileLock, Timeout

from app.archive.batch.analyser import OpenEmbedder, Work
from app.archive.batch.folder import ArchiveFolder
from app.archive.batch.ray_run import Report, analyse_on_ray, noted, ray_session
from app.archive.batch.sources import REFERENCES, Source
from app.settings import Settings
from model import KinolexError, Tagger


class ArchiveInUse(KinolexError):
    """Another process writes to the archive."""

    code = "archive_in_use"


@dataclass(frozen=True, slots=True)
class Tagged:
    """The outcome of a run: numbers of files that were there before, done now, and failed now."""

    known: int
    done: int
    failed: int


def options_of(settings: Settings, tagger: Tagger) -> dict[str, Any]:
    """Return what decides the rows of an archive, besides the videos."""
    return {
        "model_id": tagger.model_id,
        "video_space": tagger.video_space,
        "decode": "auto",
        "window_seconds": settings.window_seconds,
        "stride_seconds": settings.stride_seconds,
        "max_windows": settings.max_windows,
    }


def tag_archive(
    source: Source,
    folder: ArchiveFolder,
    settings: Settings,
    open_embedder: OpenEmbedder,
    *,
    address: str | None,
    memory_bytes: int,
    report: Report,
) -> Tagged:
    """Analyse the files of `source` that the archive lacks, and join the archive's small files.

    Raises ArchiveInUse, ClusterUnreachable, and OSError if a row cannot be written.
    """
    with _locked(folder):
        known = folder.known()
        left = _without(source.references, folder.read_files())
        failed = 0
        if len(left):
            with ray_session(address) as machines:
                sized = settings.model_copy(
                    update={"decode_workers": _workers(settings, machines.cores)}
                )
                work = Work(sized, source.filesystem, folder, folder.options())
                rows = analyse_on_ray(
                    work,
                    left,
                    known,
                    open_embedder,
                    machines=machines,
                    memory_bytes=memory_bytes,
                )
                failed = noted(work, rows, len(left), report)
        folder.pack(known)
    return Tagged(len(source.references) - len(left), len(left), failed)


def _workers(settings: Settings, cores: int) -> int:
    """Return the number of decode workers: as set, or one per processor of the actor's machine."""
    is_set = "decode_workers" in settings.model_fields_set
    return settings.decode_workers if is_set else cores


def _without(references: pa.Table, done: pa.Table) -> pa.Table:
    """Return the references that are not done, sorted by path."""
    left = references.join(done.select(REFERENCES.names), REFERENCES.names, join_type="left anti")
    return left.sort_by("path").select(REFERENCES.names)


@contextmanager
def _locked(folder: ArchiveFolder) -> Generator[None]:
    # an object store has no locks; two runs there repeat each other's work, but lose none
    is_local = isinstance(folder.filesystem, fs.LocalFileSystem)
    lock = FileLock(f"{folder.path}/.lock", blocking=False)
    try:
        with lock if is_local else nullcontext():
            yield
    except Timeout as error:
        raise ArchiveInUse(f"another process writes to {folder.path}") from error
