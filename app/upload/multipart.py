"""A multipart/form-data body parsed as it arrives: videos' bytes pass through, fields stay."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import MalformedRequest, MissingFile

FILE_FIELD = "file"
MAX_FIELDS = 4096
MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS_BYTES = 1024 * 1024
_PLAIN_ENCODINGS = {"", "7bit", "8bit", "binary"}


@dataclass(slots=True)
class _Part:
    """The part that is being read; `video` parts pass through, others collect in `value`."""

    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    is_video: bool = False
    value: bytearray = field(default_factory=bytearray)


class MultipartReader:
    """Feed it the body; it hands back the pieces of the parts `file` and keeps the text fields.

    `videos` is how many such parts have begun. Raises MalformedRequest for what is not
    multipart/form-data or is over a limit (`most_videos` among them), MissingFile when a file
    comes under another name or not at all.
    """

    def __init__(self, content_type: str, *, most_videos: int = 1) -> None:
        _, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary", b"")
        if not boundary:
            raise MalformedRequest("the Content-Type names no boundary")
        self.fields: list[tuple[str, str]] = []
        self._fields_bytes = 0
        self._most_videos = most_videos
        self._pieces: list[tuple[int, memoryview]] = []
        self._part = _Part()
        self._header_name = bytearray()
        self._header_value = bytearray()
        self.videos = 0
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
            )
        except FormParserError as error:
            raise MalformedRequest(f"the boundary is not valid: {error}") from error

    def feed(self, chunk: bytes) -> list[tuple[int, memoryview]]:
        """Parses the next bytes of the body; answers with those of videos, counted from 0."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedRequest(f"the body is not multipart/form-data: {error}") from error
        pieces, self._pieces = self._pieces, []
        return pieces

    def finish(self) -> None:
        """The body has ended. Raises when something is missing."""
        if not self._complete:
            raise MalformedRequest("the body ends before its closing boundary")
        if not self.videos:
            raise MissingFile(f"no part is named `{FILE_FIELD}`")

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
        if part.is_video and self.videos == self._most_videos:
            raise MalformedRequest(
                f"more parts named `{FILE_FIELD}` than videos taken here: {self._most_videos}"
            )
        if b"filename" in parameters and not part.is_video:
            raise MissingFile(
                f"the video is expected in a part named `{FILE_FIELD}`, not `{part.name[:50]}`"
            )
        self.videos += part.is_video
        if not part.is_video and len(self.fields) >= MAX_FIELDS:
            raise MalformedRequest(f"the form has more than {MAX_FIELDS} fields")

    def _read_data(self, chunk: bytes, start: int, end: int) -> None:
        if self._part.is_video:
            self._pieces.append((self.videos - 1, memoryview(chunk)[start:end]))
            return
        self._part.value += memoryview(chunk)[start:end]
        self._fields_bytes += end - start
        if len(self._part.value) > MAX_FIELD_BYTES or self._fields_bytes > MAX_FIELDS_BYTES:
            raise MalformedRequest(
                f"a form field is over {MAX_FIELD_BYTES} bytes, or all over {MAX_FIELDS_BYTES}"
            )

    def _end_part(self) -> None:
        if self._part.is_video:
            return
        try:
            self.fields.append((self._part.name, self._part.value.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise MalformedRequest(f"the field `{self._part.name[:50]}` is not UTF-8") from error

    def _end(self) -> None:
        self._complete = True
