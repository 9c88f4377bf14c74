"""Encodings of texts that clients send: UTF-8, and what is sent in its place."""

from app.errors import MalformedRequest, UnsupportedMediaType

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# first bytes of compressed files, and what to send instead
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip, as an Excel workbook is",
}


def plain_utf8(body: bytes, form: str) -> bytes:
    """Return a body without its byte order mark, if it has one; `form` is what it should be.

    Raises UnsupportedMediaType for compressed bytes and MalformedRequest for UTF-16.
    """
    for beginning, name in _COMPRESSED.items():
        if body.startswith(beginning):
            raise UnsupportedMediaType(
                f"the body is compressed ({name}); send it as plain {form} in UTF-8"
            )
    if body.startswith(_UTF16_MARKS):
        raise MalformedRequest(f"the body is UTF-16; send {form} as UTF-8")
    return body.removeprefix(_UTF8_MARK)
