"""Receives request bodies: checks the headers, then streams the body into sealed files.

Bytes flow from chunks of the request through `multipart`, which finds the videos, to `buffer`.
"""

import math
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from starlette.requests import ClientDisconnect, Request

from app.errors import EmptyFile, UnsupportedMediaType, UploadTimeout, UploadTooLarge
from app.observe.timings import stage
from app.requests import announced_bytes, lift_body_limit, media_type
from app.settings import Settings
from app.upload.admission import Admission
from app.upload.buffer import Piece, SealedFile, UploadBuffers
from app.upload.multipart import MAX_FIELDS_BYTES, MultipartReader

# Types under which files are sent that may be videos; what they are is seen when they are decoded.
RAW_TYPES = frozenset(
    {
        "application/octet-stream",
        "binary/octet-stream",  # the default of S3
        "application/mp4",
        "application/matroska",
        "application/x-matroska",
        "application/mxf",
        "application/ogg",
        "application/vnd.ms-asf",
    }
)
FORM_TYPE = "multipart/form-data"


def may_be_video(media_type: str) -> bool:
    """Whether files are sent as this type that may be videos, or pictures, which may move."""
    return media_type.startswith(("video/", "image/")) or media_type in RAW_TYPES


@dataclass(frozen=True, slots=True)
class Upload:
    """A received video and the form fields that came with it, in their order."""

    video: SealedFile
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Uploads:
    """One or more received videos and the form fields that came with them, in their order."""

    videos: tuple[SealedFile, ...]
    fields: tuple[tuple[str, str], ...] = ()


@asynccontextmanager
async def receive_video(
    request: Request, settings: Settings, admission: Admission
) -> AsyncGenerator[Upload]:
    """Receive one video, as `receive_videos` receives several."""
    async with receive_videos(request, settings, admission, max_videos=1) as uploads:
        yield Upload(uploads.videos[0], uploads.fields)


@asynccontextmanager
async def receive_videos(
    request: Request, settings: Settings, admission: Admission, *, max_videos: int
) -> AsyncGenerator[Uploads]:
    """Receive a raw video, or up to `max_videos` parts `file` of a form, for the block.

    The files are deleted at the end of the block. `max_upload_bytes` limits all of them together,
    whatever Content-Length says. Reading stops at the first byte over a limit. Raises a
    ServiceError for a body that is refused (Overloaded before the first byte is read), and
    ClientDisconnect.
    """
    lift_body_limit(request)
    reader = _reader(request, max_videos)
    announced = announced_bytes(request)
    overhead = MAX_FIELDS_BYTES if isinstance(reader, MultipartReader) else 0
    if announced > settings.max_upload_bytes + overhead:
        raise UploadTooLarge.over(settings.max_upload_bytes)
    async with UploadBuffers(
        settings.upload_dir,
        settings.upload_memory_bytes,
        max_bytes=settings.max_upload_bytes,
        max_files=max_videos,
        expected_bytes=announced,
    ) as buffers:
        with admission.upload(), stage("intake"):
            videos = await buffers.receive(reader.pieces(_chunks(request, settings)))
        if not all(video.size_bytes for video in videos):
            raise EmptyFile("the file has no bytes")
        yield Uploads(videos, tuple(reader.fields))


@asynccontextmanager
async def receive_text(request: Request, settings: Settings) -> AsyncGenerator[SealedFile]:
    """Receive the request's body as a file for the block, whatever its media type.

    The file is deleted at the end of the block. Raises UploadTooLarge over `max_import_bytes`,
    StorageFull, UploadTimeout and ClientDisconnect.
    """
    async with UploadBuffers(
        settings.upload_dir,
        settings.upload_memory_bytes,
        max_bytes=settings.max_import_bytes,
        expected_bytes=announced_bytes(request),
    ) as buffers:
        [text] = await buffers.receive(_RawReader().pieces(_chunks(request, settings)))
        yield text


class _RawReader:
    """A body that is one file and nothing else; the counterpart of MultipartReader."""

    fields: tuple[tuple[str, str], ...] = ()

    async def pieces(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[list[Piece]]:
        async for chunk in chunks:
            yield [(0, chunk)]


def _reader(request: Request, max_videos: int) -> MultipartReader | _RawReader:
    sent_as = media_type(request)
    if sent_as == FORM_TYPE:
        return MultipartReader(request.headers["content-type"], max_videos=max_videos)
    if may_be_video(sent_as):
        return _RawReader()
    raise UnsupportedMediaType(
        f"send a form ({FORM_TYPE}) with a part `file`, or the video itself as video/* or "
        f"application/octet-stream, not {sent_as[:80] or 'a body without a Content-Type'}"
    )


async def _chunks(request: Request, settings: Settings) -> AsyncGenerator[bytes]:
    started = anyio.current_time()
    end = started + settings.upload_timeout_seconds
    received = 0
    more = True
    while more:
        idle_end = anyio.current_time() + settings.upload_idle_seconds
        slow_end = started + settings.upload_idle_seconds + _seconds_for(received, settings)
        with anyio.CancelScope(deadline=min(end, idle_end, slow_end)) as scope:
            message = await request.receive()
        if scope.cancelled_caught:
            raise UploadTimeout(
                f"no byte arrived for {settings.upload_idle_seconds:g} s, or less than "
                f"{settings.min_upload_rate} bytes a second, or the upload took more than "
                f"{settings.upload_timeout_seconds:g} s"
            )
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if chunk := message.get("body", b""):
            received += len(chunk)
            yield chunk


def _seconds_for(received: int, settings: Settings) -> float:
    """Return for how long an upload may take for these bytes, at the minimum rate."""
    return received / settings.min_upload_rate if settings.min_upload_rate else math.inf
