"""A whole label set as a file: written at one revision, then sent."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from typing import IO

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from app.http.etags import etag, is_known, unchanged
from app.http.stoppable import run_stoppable
from app.labels.files import write_labels
from app.labels.formats import MEDIA_TYPES, FileFormat
from app.requests import cancel_on_disconnect
from app.settings import Settings
from app.store import LabelPage, LabelStore, SetState, Stop
from app.upload.buffer import report_failing_disk

_BLOCK_BYTES = 256 * 1024


async def export_set(
    request: Request,
    settings: Settings,
    store: LabelStore,
    label_set: str,
    file_format: FileFormat,
) -> Response:
    """Return all labels of a set at the revision in the answer's ETag; 304 if it is known.

    The labels are read in one transaction into a file, in memory while it is small. A client that
    reads slowly keeps the file, not the transaction. Raises SetNotFound and StorageFull.
    """
    write = partial(_write, request, settings, store, label_set, file_format)
    async with cancel_on_disconnect(request):
        state, file = await run_stoppable(write)
    if file is None:
        return unchanged(state.revision)
    return StreamingResponse(
        _blocks(file),
        media_type=f"{MEDIA_TYPES[file_format]}; charset=utf-8",
        headers={
            "ETag": etag(state.revision),
            "Content-Length": str(file.tell()),
            "Content-Disposition": f'attachment; filename="{label_set}.{file_format}"',
        },
    )


def _write(
    request: Request,
    settings: Settings,
    store: LabelStore,
    label_set: str,
    file_format: FileFormat,
    stop: Stop,
) -> tuple[SetState, IO[bytes] | None]:
    """Write the file, unless the client knows the revision."""
    with closing(store.export_pages(label_set)) as pages, report_failing_disk():
        first = next(pages)
        if is_known(request, first.state.revision):
            return first.state, None
        new = (stored.new for page in _until(stop, chain([first], pages)) for stored in page.labels)
        file = tempfile.SpooledTemporaryFile(  # noqa: SIM115  # closed after the answer, or with its last reference
            max_size=settings.upload_memory_bytes, dir=str(settings.upload_dir)
        )
        for piece in write_labels(new, file_format):
            file.write(piece.encode())
        return first.state, file


def _until(stop: Stop, pages: Iterator[LabelPage]) -> Iterator[LabelPage]:
    for page in pages:
        if stop():
            return
        yield page


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while block := file.read(_BLOCK_BYTES):
            yield block
