"""The text of an API key: `kx_`, the public id, `_` and the secret."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field

ID_PATTERN = r"[0-9a-f]{12}"
_ID_BYTES = 6
_SECRET_BYTES = 32
_TOKEN = re.compile(rf"kx_({ID_PATTERN})_([0-9a-f]{{{2 * _SECRET_BYTES}}})")


@dataclass(frozen=True, slots=True)
class Token:
    """An API key as its holder has it."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The key as it is sent."""
        return f"kx_{self.key_id}_{self.secret}"

    @property
    def digest(self) -> str:
        """SHA-256 of the secret in hex, as it is stored.

        A slow password hash is not needed: 256 random bits cannot be guessed.
        """
        return hashlib.sha256(self.secret.encode()).hexdigest()


def new_token(key_id: str | None = None) -> Token:
    """Return a random token, of a new key unless `key_id` is given."""
    return Token(key_id or secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES))


def read_token(text: str) -> Token | None:
    """Return the token with this text; None if it has not the form of one."""
    found = _TOKEN.fullmatch(text)
    return None if found is None else Token(found[1], found[2])
