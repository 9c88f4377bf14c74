"""A request's body to sealed files, hashed, counted and timed while it streams in."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request

from app.errors import (
    EmptyFile,
    MalformedRequest,
    UnsupportedMediaType,
    UploadTimeout,
    UploadTooLarge,
)
from app.observe.timings import stage
from app.settings import Settings
from app.upload.admission import Admission
from app.upload.buffer import SealedFile, Spools
from app.upload.multipart import MAX_FIELDS_BYTES, MultipartReader

RAW_TYPES = ("video/", "application/octet-stream", "application/mp4")
FORM_TYPE = "multipart/form-data"
JSON_TYPE = "application/json"

# Bytes gathered before a worker thread hashes and writes them.
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
    request: Request, settings: Settings, admission: Admission
) -> AsyncGenerator[Upload]:
    """The request's video, as `receive_videos` takes it."""
    async with receive_videos(request, settings, admission, most=1) as uploads:
        yield Upload(uploads.videos[0], uploads.fields)


@asynccontextmanager
async def receive_videos(
    request: Request, settings: Settings, admission: Admission, *, most: int
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
        with admission.upload(), stage("intake"):
            await _fill(spools, form, _chunks(request, settings), settings)
            videos = spools.seal(form.videos if form else 1)
        if not all(video.size_bytes for video in videos):
            raise EmptyFile("the file has no bytes")
        yield Uploads(videos, tuple(form.fields) if form else ())
    finally:
        await _close(spools)


@asynccontextmanager
async def receive_text(request: Request, settings: Settings) -> AsyncGenerator[SealedFile]:
    """The request's body as a file, whatever it is; gone when the block ends.

    How much is taken is left to `BodyLimit`. Raises UploadTimeout, ClientDisconnect.
    """
    spools = Spools(
        settings.upload_dir, settings.upload_memory_bytes, expected_bytes=announced_bytes(request)
    )
    writer = _Writer(spools)
    try:
        async for chunk in _chunks(request, settings):
            await writer.take([(0, chunk)])
        await writer.finish()
        yield spools.seal(1)[0]
    finally:
        await _close(spools)


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

    async def watch(scope: anyio.CancelScope) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    with anyio.CancelScope() as scope:
        # not a task group, which wraps what the block raises
        watcher = asyncio.create_task(watch(scope))
        try:
            yield
        finally:
            watcher.cancel()
    if scope.cancelled_caught:
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
    size = total = 0
    writer = _Writer(spools)
    async for chunk in chunks:
        pieces = form.feed(chunk) if form else [(0, chunk)]
        size += sum(len(piece) for _, piece in pieces)
        total += len(chunk)
        if size > settings.max_upload_bytes:
            raise _too_large(settings)
        if total - size > 2 * MAX_FIELDS_BYTES:
            raise MalformedRequest("the form holds too much besides the video")
        await writer.take(pieces)
    if form:
        form.finish()
    await writer.finish()


class _Writer:
    """Has spools written to: at once while they are light, else by a thread, in large pieces."""

    def __init__(self, spools: Spools) -> None:
        self._spools = spools
        self._waiting: list[tuple[int, bytes | memoryview]] = []
        self._waiting_bytes = 0

    async def take(self, pieces: Sequence[tuple[int, bytes | memoryview]]) -> None:
        self._waiting += pieces
        self._waiting_bytes += sum(len(piece) for _, piece in pieces)
        if self._waiting_bytes >= _WRITE_BYTES or self._spools.are_light(self._waiting_bytes):
            await self.finish()

    async def finish(self) -> None:
        pieces, size = self._waiting, self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        if self._spools.are_light(size):
            self._spools.write(pieces)
        else:
            await to_thread.run_sync(self._spools.write, pieces)


async def _close(spools: Spools) -> None:
    if spools.are_light():
        spools.close()
        return
    with anyio.CancelScope(shield=True):
        await to_thread.run_sync(spools.close)


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
