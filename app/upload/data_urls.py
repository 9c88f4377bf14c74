"""Videos inside JSON: `data:` URLs (RFC 2397) with base64, decoded into sealed files."""

import binascii
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from anyio import to_thread

from app.errors import EmptyFile, InvalidParameter, UnsupportedMediaType
from app.observe.timings import stage
from app.settings import Settings
from app.upload.admission import Admission
from app.upload.buffer import Piece, SealedFile, UploadBuffers
from app.upload.intake import may_be_video

_SCHEME = "data:"


def is_data_url(text: str) -> bool:
    """Whether the text is a `data:` URL, of whatever type."""
    return text[: len(_SCHEME)].lower() == _SCHEME


@asynccontextmanager
async def decode_videos(
    urls: Mapping[str, str], settings: Settings, admission: Admission
) -> AsyncGenerator[tuple[SealedFile, ...]]:
    """Decode videos into files for the block; `urls` are by the name of the field of each.

    The files are like those of an upload, with its limits. Raises InvalidParameter for a URL that
    is not valid, UnsupportedMediaType, EmptyFile, UploadTooLarge, StorageFull and Overloaded.
    """

    async def pieces() -> AsyncGenerator[list[Piece]]:
        for number, (name, url) in enumerate(urls.items()):
            yield [(number, await to_thread.run_sync(_decoded, name, url))]

    async with UploadBuffers(
        settings.upload_dir,
        settings.upload_memory_bytes,
        max_bytes=settings.max_upload_bytes,
        max_files=len(urls),
        expected_bytes=sum(len(url) * 3 // 4 for url in urls.values()),
    ) as buffers:
        with admission.upload(), stage("intake"):
            videos = await buffers.receive(pieces())
        yield videos


def _decoded(name: str, url: str) -> bytes:
    head, comma, encoded = url[len(_SCHEME) :].partition(",")
    media_type, *parameters = head.lower().split(";")
    if not comma or "base64" not in [parameter.strip() for parameter in parameters]:
        raise _fault(name, "is not a URL such as data:video/mp4;base64,AAAA")
    if not may_be_video(media_type):
        raise UnsupportedMediaType(f"{name}: send a video as data:video/mp4;base64,...")
    try:
        content = binascii.a2b_base64(encoded.encode(), strict_mode=True)
    except (ValueError, UnicodeError) as error:
        raise _fault(name, f"its base64 is not valid: {error}") from error
    if not content:
        raise EmptyFile(f"{name}: the file has no bytes")
    return content


def _fault(name: str, detail: str) -> InvalidParameter:
    return InvalidParameter.of([{"loc": ("body", *name.split("/")), "msg": detail}])
