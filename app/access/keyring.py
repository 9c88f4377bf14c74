"""Checks API keys against the database, cached for a second, and notes when they are used."""

import secrets
from datetime import UTC, datetime

import anyio
from anyio import to_thread
from cachetools import TTLCache

from app.access.errors import KeyNotValid
from app.access.grants import Grant
from app.access.tokens import Token, read_token
from app.store import StoreUnavailable
from app.store.access import ApiKey, KeyStore

# A revoked or rotated key can be accepted for this long by other processes than the one that
# changed it.
CACHE_SECONDS = 1.0
_CACHED_KEYS = 10_000
# The time of the last use is written this often, not with every request.
_WRITE_SECONDS = 30.0
_NO_DIGEST = "0" * 64


class Keyring:
    """The API keys as one process knows them; used on the event loop only."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._found: TTLCache[str, ApiKey] = TTLCache(_CACHED_KEYS, CACHE_SECONDS)
        self._has_keys: bool | None = None
        self._asked_for_keys_at = -CACHE_SECONDS
        self._used_at: dict[str, datetime] = {}

    async def has_keys(self) -> bool:
        """Whether a key was ever created. Raises StoreUnavailable if that was never known."""
        now = anyio.current_time()
        # keys stay once they were created: a service with keys never asks again
        if not self._has_keys and now >= self._asked_for_keys_at + CACHE_SECONDS:
            try:
                self._has_keys = await to_thread.run_sync(self._store.has_keys)
            except StoreUnavailable:
                # a service without keys works on without its database
                if self._has_keys is None:
                    raise
            self._asked_for_keys_at = now
        return bool(self._has_keys)

    async def grant_of(self, text: str) -> Grant:
        """Return what the key with this text may do. Raises KeyNotValid or StoreUnavailable."""
        token = read_token(text)
        if token is None:
            raise KeyNotValid("the API key is not one: it begins with kx_ and has 80 characters")
        key = await self._key(token.key_id)
        is_right = _is_right(token, key)
        if key is None or key.revoked_at is not None or not is_right:
            raise KeyNotValid("the API key is unknown, revoked or replaced")
        self._used_at[key.id] = datetime.now(UTC)
        return Grant(key.rights, key)

    def forget(self, key_id: str) -> None:
        """Read the key again when it is next used, because it was changed."""
        self._found.pop(key_id, None)
        self._asked_for_keys_at = -CACHE_SECONDS

    async def write_uses(self) -> None:
        """Write when keys were last used, from time to time, until cancelled."""
        while True:
            await anyio.sleep(_WRITE_SECONDS)
            await self.write_uses_now()

    async def write_uses_now(self) -> None:
        """Write when keys were last used; what cannot be written now is written later."""
        used_at, self._used_at = self._used_at, {}
        if not used_at:
            return
        try:
            await to_thread.run_sync(self._store.note_use, used_at)
        except StoreUnavailable:
            self._used_at = used_at | self._used_at

    async def _key(self, key_id: str) -> ApiKey | None:
        key = self._found.get(key_id)
        if key is None:
            # unknown ids are not kept: a client that invents them would push out the known ones
            key = await to_thread.run_sync(self._store.find, key_id)
            if key is not None:
                self._found[key_id] = key
        return key


def _is_right(token: Token, key: ApiKey | None) -> bool:
    """Whether the secret is the key's present or former one; always compares two digests."""
    present = former = _NO_DIGEST
    if key is not None:
        present = key.digest
        if key.former_digest and key.former_until and key.former_until > datetime.now(UTC):
            former = key.former_digest
    digest = token.digest
    matches = [secrets.compare_digest(digest, each) for each in (present, former)]
    return any(matches)
