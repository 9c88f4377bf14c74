"""A request's body to sealed files, hashed, counted and timed while it streams in."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request

from app.admission import Admission
from app.errors import (
    EmptyFile,
    MalformedRequest,
    UnsupportedMediaType,
    UploadTimeout,
    UploadTooLarge,
)
from app.multipart import MAX_FIELDS_BYTES, MultipartReader
from app.sealed_file import SealedFile, Spools
from app.settings import Settings
from app.telemetry import Stopwatch

RAW_TYPES = ("video/", "application/octet-stream", "application/mp4")
FORM_TYPE = "multipart/form-data"
JSON_TYPE = "application/json"

# Bytes gathered before a worker thread hashes and writes them: a hop costs as much as 50 KiB.
_WRITE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A video as received, with the form fields that came with it in their order."""

    video: SealedFile
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Uploads:
    """Videos as received, one at least, and the form fields that came with them."""

    videos: tuple[SealedFile, ...]
    fields: tuple[tuple[str, str], ...] = ()


@asynccontextmanager
async def receive_video(
    request: Request, settings: Settings, admission: Admission, watch: Stopwatch
) -> AsyncGenerator[Upload]:
    """The request's video, as `receive_videos` takes it."""
    async with receive_videos(request, settings, admission, watch, most=1) as uploads:
        yield Upload(uploads.videos[0], uploads.fields)


@asynccontextmanager
async def receive_videos(
    request: Request, settings: Settings, admission: Admission, watch: Stopwatch, *, most: int
) -> AsyncGenerator[Uploads]:
    """The request's video, or up to `most` as parts `file` of a form; gone when the block ends.

    The byte limit holds for all of them together. The bytes go straight to their file, whatever
    Content-Length says, and the rest is left unread on the first that is too many. Raises a
    ServiceError for what cannot be taken, Overloaded before the first byte when there is no room,
    ClientDisconnect when the client hangs up.
    """
    form = _form_reader(request, most)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the video as it is, without a Content-Encoding")
    announced = announced_bytes(request)
    if announced > settings.max_upload_bytes + (MAX_FIELDS_BYTES if form else 0):
        raise _too_large(settings)
    spools = Spools(
        settings.upload_dir, settings.upload_memory_bytes, most=most, expected_bytes=announced
    )
    try:
        with admission.upload(), watch.stage("intake"):
            await _fill(spools, form, _chunks(request, settings), settings)
            videos = spools.seal(form.videos if form else 1)
        if not all(video.size_bytes for video in videos):
            raise EmptyFile("the file has no bytes")
        yield Uploads(videos, tuple(form.fields) if form else ())
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(spools.close)


@asynccontextmanager
async def receive_text(request: Request, settings: Settings) -> AsyncGenerator[SealedFile]:
    """The request's body as a file, whatever it is; gone when the block ends.

    How much is taken is left to `BodyLimit`. Raises UploadTimeout, ClientDisconnect.
    """
    spools = Spools(
        settings.upload_dir, settings.upload_memory_bytes, expected_bytes=announced_bytes(request)
    )
    waiting: list[tuple[int, bytes]] = []
    try:
        async for chunk in _chunks(request, settings):
            waiting.append((0, chunk))
            if sum(len(piece) for _, piece in waiting) >= _WRITE_BYTES:
                await to_thread.run_sync(spools.write, waiting)
                waiting = []
        await to_thread.run_sync(spools.write, waiting)
        yield spools.seal(1)[0]
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(spools.close)


def media_type(request: Request) -> str:
    """What Content-Type says, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def announced_bytes(request: Request) -> int:
    """What Content-Length says, 0 when it says nothing that can be used."""
    value = request.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdecimal() else 0


@asynccontextmanager
async def dropped_when_gone(request: Request) -> AsyncGenerator[None]:
    """Cancels the block when the client hangs up; its body must have been received.

    Raises ClientDisconnect then.
    """
    gone = False

    async def watch(scope: anyio.CancelScope) -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            yield
            group.cancel_scope.cancel()
    except BaseExceptionGroup as failures:
        # the watcher raises nothing, so the block's own failure is the only one
        raise failures.exceptions[0] from failures.exceptions[0].__cause__
    if gone:
        raise ClientDisconnect


def _form_reader(request: Request, most_videos: int) -> MultipartReader | None:
    sent_as = media_type(request)
    if sent_as == FORM_TYPE:
        return MultipartReader(request.headers["content-type"], most_videos=most_videos)
    if not sent_as.startswith(RAW_TYPES):
        raise UnsupportedMediaType(
            f"send a form ({FORM_TYPE}) with a part `file`, or the video itself as video/* or "
            f"application/octet-stream; this is {sent_as[:80] or 'without a Content-Type'}"
        )
    return None


async def _fill(
    spools: Spools,
    form: MultipartReader | None,
    chunks: AsyncIterator[bytes],
    settings: Settings,
) -> None:
    size = total = waiting_bytes = 0
    waiting: list[tuple[int, bytes | memoryview]] = []
    async for chunk in chunks:
        pieces = form.feed(chunk) if form else [(0, chunk)]
        arrived = sum(len(piece) for _, piece in pieces)
        size += arrived
        total += len(chunk)
        if size > settings.max_upload_bytes:
            raise _too_large(settings)
        if total - size > 2 * MAX_FIELDS_BYTES:
            raise MalformedRequest("the form holds too much besides the video")
        waiting += pieces
        waiting_bytes += arrived
        if waiting_bytes >= _WRITE_BYTES:
            await to_thread.run_sync(spools.write, waiting)
            waiting, waiting_bytes = [], 0
    if form:
        form.finish()
    await to_thread.run_sync(spools.write, waiting)


async def _chunks(request: Request, settings: Settings) -> AsyncGenerator[bytes]:
    end = anyio.current_time() + settings.upload_timeout_seconds
    more = True
    while more:
        idle_end = anyio.current_time() + settings.upload_idle_seconds
        with anyio.CancelScope(deadline=min(end, idle_end)) as scope:
            message = await request.receive()
        if scope.cancelled_caught:
            raise UploadTimeout(
                f"nothing came for {settings.upload_idle_seconds:g} s, or the whole took more than "
                f"{settings.upload_timeout_seconds:g} s"
            )
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if chunk := message.get("body", b""):
            yield chunk


def _too_large(settings: Settings) -> UploadTooLarge:
    return UploadTooLarge(f"a video may have {settings.max_upload_bytes} bytes, this one has more")
