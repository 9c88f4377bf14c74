"""Parser for multipart/form-data that yields the videos' bytes while the body arrives."""

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import anyio
import anyio.lowlevel
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from app.errors import MalformedRequest, MissingFile
from app.upload.buffer import Piece

FILE_FIELD = "file"
MAX_FIELDS = 4096
MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS_BYTES = 1024 * 1024
# A header holds the file's name, which some programs make of a whole title or address.
_MAX_HEADER_BYTES = 64 * 1024
# Takes a few milliseconds at the worst.
_SLICE_BYTES = 16 * 1024
_MANY_PIECES = 8
_PLAIN_ENCODINGS = {"", "7bit", "8bit", "binary"}


@dataclass(slots=True)
class _Part:
    """The part that is being read; the bytes of a field are collected in `value`."""

    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    is_video: bool = False
    is_stray: bool = False
    value: bytearray = field(default_factory=bytearray)


class MultipartReader:
    """Yields the bytes of a form's parts named `file`, and collects its text fields in `fields`.

    Raises MalformedRequest when the body is not multipart/form-data or is over a limit (such as
    `max_videos`) or has a file in another part besides, MissingFile when no part is named `file`.
    """

    def __init__(self, content_type: str, *, max_videos: int = 1) -> None:
        _, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary", b"")
        if not boundary:
            raise MalformedRequest("the Content-Type has no boundary")
        self.fields: list[tuple[str, str]] = []
        self._delimiter = b"\r\n--" + boundary
        self._fields_bytes = 0
        self._overhead_bytes = 0
        self._max_videos = max_videos
        self._videos = 0
        self._stray_file: str | None = None
        self._pieces: list[Piece] = []
        self._part = _Part()
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._read_header_name,
                    "on_header_value": self._read_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._read_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
                max_header_size=_MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise MalformedRequest(f"the boundary is not valid: {error}") from error

    async def pieces(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[list[Piece]]:
        """Yield the videos' bytes in each chunk of the body; `fields` is complete at the end.

        The parser takes long for a chunk that is full of boundaries or headers: other requests have
        a turn after each slice of it.
        """
        async for chunk in chunks:
            if self._is_data(chunk):
                yield self.feed(chunk)
                continue
            for start in range(0, len(chunk), _SLICE_BYTES):
                yield self.feed(chunk[start : start + _SLICE_BYTES])
                await anyio.lowlevel.checkpoint()
        self.finish()

    def _is_data(self, chunk: bytes) -> bool:
        """Whether the chunk is inside one part's data, where the parser only looks for its end."""
        inside = self._parser.state == MultipartState.PART_DATA and self._parser.index == 0
        return inside and self._delimiter not in chunk

    def feed(self, chunk: bytes) -> list[Piece]:
        """Parse the next bytes of the body; return those of videos, with the video's index from 0.

        An empty piece marks the beginning of each video.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedRequest(f"the body is not multipart/form-data: {error}") from error
        pieces, self._pieces = _joined(self._pieces), []
        self._overhead_bytes += len(chunk) - sum(len(piece) for _, piece in pieces)
        if self._overhead_bytes > 2 * MAX_FIELDS_BYTES:
            self._refuse_stray_file()
            raise MalformedRequest(
                f"the form has more than {2 * MAX_FIELDS_BYTES} bytes besides the video"
            )
        return pieces

    def finish(self) -> None:
        """Check that the body is complete and had a video. Raises MalformedRequest, MissingFile."""
        if not self._complete:
            raise MalformedRequest("the body ends before its closing boundary")
        self._refuse_stray_file()
        if not self._videos:
            raise MissingFile(f"no part is named `{FILE_FIELD}`")

    def _refuse_stray_file(self) -> None:
        """Raise MalformedRequest or MissingFile if a part of another name has a file."""
        if self._stray_file is None:
            return
        if self._videos:
            raise MalformedRequest(
                f"the form has a file in the part `{self._stray_file}` besides the part "
                f"`{FILE_FIELD}`; send no other file"
            )
        raise MissingFile(
            f"send the video in a part named `{FILE_FIELD}`, not `{self._stray_file}`"
        )

    def _begin_part(self) -> None:
        self._part = _Part()

    def _read_header_name(self, chunk: bytes, start: int, end: int) -> None:
        self._header_name += chunk[start:end]

    def _read_header_value(self, chunk: bytes, start: int, end: int) -> None:
        self._header_value += chunk[start:end]

    def _end_header(self) -> None:
        name = self._header_name.decode("latin-1").lower()
        self._part.headers[name] = self._header_value.decode("latin-1")
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        part = self._part
        _, parameters = parse_options_header(part.headers.get("content-disposition", ""))
        part.name = parameters.get(b"name", b"").decode("utf-8", "replace")
        if not part.name:
            raise MalformedRequest("a part has no name")
        encoding = part.headers.get("content-transfer-encoding", "").strip().lower()
        if encoding not in _PLAIN_ENCODINGS:
            raise MalformedRequest("a part has a Content-Transfer-Encoding other than binary")
        part.is_video = part.name == FILE_FIELD
        if part.is_video and self._videos == self._max_videos:
            raise MalformedRequest(
                f"the form has more than {self._max_videos} parts named `{FILE_FIELD}`"
            )
        if part.is_video:
            self._pieces.append((self._videos, b""))
            self._videos += 1
        part.is_stray = b"filename" in parameters and not part.is_video
        if part.is_stray:
            self._stray_file = part.name[:50]
        # a stray file before the video is skipped: only the parts after it tell what is wrong
        if self._videos:
            self._refuse_stray_file()
        if not part.is_video and len(self.fields) >= MAX_FIELDS:
            raise MalformedRequest(f"the form has more than {MAX_FIELDS} fields")

    def _read_data(self, chunk: bytes, start: int, end: int) -> None:
        if self._part.is_video:
            self._pieces.append((self._videos - 1, memoryview(chunk)[start:end]))
            return
        if self._part.is_stray:
            return
        self._part.value += memoryview(chunk)[start:end]
        self._fields_bytes += end - start
        if len(self._part.value) > MAX_FIELD_BYTES or self._fields_bytes > MAX_FIELDS_BYTES:
            raise MalformedRequest(
                f"a form field has more than {MAX_FIELD_BYTES} bytes, or all together more than "
                f"{MAX_FIELDS_BYTES}"
            )

    def _end_part(self) -> None:
        if self._part.is_video or self._part.is_stray:
            return
        try:
            self.fields.append((self._part.name, self._part.value.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise MalformedRequest(f"the field `{self._part.name[:50]}` is not UTF-8") from error

    def _end(self) -> None:
        self._complete = True


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Join the neighbouring pieces of a video: each one that is written costs a system call."""
    if len(pieces) < _MANY_PIECES:
        return pieces
    return [
        (number, b"".join(piece for _, piece in group))
        for number, group in groupby(pieces, key=itemgetter(0))
    ]
