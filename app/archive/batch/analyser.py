"""Analyses videos for an archive: the code of an actor, which also runs without Ray.

Each analyser has its own checkpoint, encoder threads and sandboxed decode workers, as a server
process has. It writes the row of each video itself; only short rows about files leave it.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pyarrow as pa
import pyarrow.fs as fs
from anyio import to_thread
from anyio.from_thread import start_blocking_portal

from app.archive.batch.folder import ArchiveFolder, Known
from app.archive.batch.rows import FILES, row_of_analysis, row_of_error
from app.decode.decode_pool import DecoderDied
from app.embedding import VideoEmbedder, deadline
from app.errors import EmptyFile
from app.question import Analysis
from app.settings import Settings
from app.upload.buffer import SealedFile, UploadBuffer
from model import KinolexError, VideoError

# A video is decoded, encoded or waits; more at a time would only need more memory.
VIDEOS_PER_WORKER = 3
_READ_BYTES = 1024 * 1024
OpenEmbedder = Callable[[Settings], AbstractAsyncContextManager[VideoEmbedder]]


class FileUnreadable(KinolexError):
    """The file vanished, or cannot be read."""

    code = "file_unreadable"


class FailedBefore(KinolexError):
    """A file with the same bytes failed, with this code."""

    def __init__(self, code: str) -> None:
        super().__init__("a file with the same bytes failed before")
        self.reason = code


# Errors that the same bytes give at every try.
_FINAL = (VideoError, EmptyFile, FailedBefore)


@dataclass(frozen=True, slots=True)
class Work:
    """What all analysers of a run share: where videos are, where rows go, and how to analyse.

    `options` are those of the archive.
    """

    settings: Settings
    source: fs.FileSystem
    folder: ArchiveFolder
    options: Mapping[str, Any]


class Analyser:
    """Analyses files in a thread with an event loop of its own; `__call__` is thread-safe."""

    def __init__(self, work: Work, known: Known, open_embedder: OpenEmbedder) -> None:
        self._work = work
        self._known = known
        self._stack = ExitStack()
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._embedder = self._stack.enter_context(
            self._portal.wrap_async_context_manager(open_embedder(work.settings))
        )
        workers = work.settings.decode_workers
        self._limit = self._portal.call(anyio.CapacityLimiter, VIDEOS_PER_WORKER * workers)

    def close(self) -> None:
        """Stop the decode workers and the encoder."""
        self._stack.close()

    def __call__(self, references: pa.Table) -> pa.Table:
        """Analyse the files of some REFERENCES, write their rows, and return rows of FILES."""
        rows: list[dict[str, Any]] = references.to_pylist()
        self._portal.call(self._analyse_all, rows)
        return pa.Table.from_pylist(rows, schema=FILES)

    async def _analyse_all(self, rows: list[dict[str, Any]]) -> None:
        async with anyio.create_task_group() as group:
            for row in rows:
                group.start_soon(self._analyse, row)

    async def _analyse(self, row: dict[str, Any]) -> None:
        """Analyse one file, and note in its row what came of it."""
        row |= {"sha256": "", "code": "", "detail": "", "again": False}
        async with self._limit:
            try:
                with ExitStack() as stack:
                    work = self._work
                    file = await to_thread.run_sync(
                        _open, stack, work.source, row["path"], work.settings
                    )
                    row["sha256"] = file.sha256
                    await self._analyse_file(file)
            except _FINAL as error:
                code = error.reason if isinstance(error, FailedBefore) else error.code
                row |= {"code": code, "detail": str(error)}
            except KinolexError as error:
                # a matter of time or of the place, not of the video
                row |= {"code": error.code, "detail": str(error), "again": True}

    async def _analyse_file(self, file: SealedFile) -> None:
        work = self._work
        code = self._known.code_of(file.sha256)
        if code is None:
            code = await to_thread.run_sync(work.folder.code_of, file.sha256)
        if code == "":
            return
        if code is not None:
            raise FailedBefore(code)
        try:
            if not file.size_bytes:
                raise EmptyFile("the file has no bytes")
            with deadline(work.settings.segments_timeout_seconds):
                try:
                    analysis = await self._analysis_of(file)
                except DecoderDied:
                    # when this process is killed, its decoders may be killed just before it
                    analysis = await self._analysis_of(file)
        except _FINAL as error:
            row = row_of_error(file.sha256, error.code, str(error), work.options)
            await to_thread.run_sync(work.folder.write_analysis, row)
            raise
        await to_thread.run_sync(work.folder.write_analysis, row_of_analysis(analysis))

    async def _analysis_of(self, file: SealedFile) -> Analysis:
        options = self._work.options
        return await self._embedder.analyse(
            file,
            window_seconds=options["window_seconds"],
            stride_seconds=options["stride_seconds"],
            decode=options["decode"],
        )


def _open(stack: ExitStack, source: fs.FileSystem, path: str, settings: Settings) -> SealedFile:
    """Open a local file, or copy one of an object store, until the stack closes.

    Raises FileUnreadable.
    """
    try:
        if isinstance(source, fs.LocalFileSystem):
            file = Path(path).open("rb")  # noqa: SIM115  # the stack closes it
            stack.callback(file.close)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return SealedFile(file.fileno(), os.fstat(file.fileno()).st_size, digest)
        buffer = UploadBuffer(settings.upload_dir, settings.upload_memory_bytes)
        stack.callback(buffer.close)
        with source.open_input_stream(path) as stream:
            for piece in iter(lambda: stream.read(_READ_BYTES), b""):
                buffer.write([piece])
        return buffer.seal()
    except (OSError, pa.ArrowException) as error:
        raise FileUnreadable(f"{path}: {error}") from error
