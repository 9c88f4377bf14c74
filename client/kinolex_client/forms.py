"""Requests with options that are too long for an address: a form (RFC 7578) around the video."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

_MAX_QUERY_CHARACTERS = 8_000


@dataclass(frozen=True, slots=True)
class Form:
    """What is sent before and after the bytes of the video."""

    media_type: str
    before: bytes
    after: bytes

    @classmethod
    def around_video(cls, options: Sequence[tuple[str, str]]) -> Self:
        """Return a form with the options as fields."""
        boundary = secrets.token_hex(16)
        fields = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in options
        )
        file = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="video"\r\n\r\n'
        )
        return cls(
            f"multipart/form-data; boundary={boundary}",
            (fields + file).encode(),
            f"\r\n--{boundary}--\r\n".encode(),
        )


def needs_form(options: Sequence[tuple[str, str]]) -> bool:
    """Whether options are too long for an address, of which a service reads 64 KiB at most."""
    return sum(len(name) + len(value) for name, value in options) > _MAX_QUERY_CHARACTERS
