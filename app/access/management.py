"""Creates, rotates and revokes API keys; a key never gives more rights than it has.

Functions block on the database. `by` is the key of the request, None on the command line, where
everything is allowed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.access.errors import RightsExceeded
from app.access.tokens import Token, new_token
from app.store.access import ApiKey, KeyNotFound, KeyStore, Rights

DEFAULT_OVERLAP = timedelta(days=1)
MAX_OVERLAP = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key with its secret, which is known only now."""

    key: ApiKey
    token: Token


def create_key(store: KeyStore, name: str, rights: Rights, *, by: ApiKey | None) -> IssuedKey:
    """Create a key. Raises RightsExceeded for rights that `by` lacks."""
    _check_within(rights, by)
    token = new_token()
    creator = None if by is None else by.id
    key = store.create(token.key_id, name, rights, digest=token.digest, created_by=creator)
    return IssuedKey(key, token)


def rotate_key(
    store: KeyStore, key_id: str, *, overlap: timedelta = DEFAULT_OVERLAP, by: ApiKey | None
) -> IssuedKey:
    """Give a key a new secret; the present one is accepted for `overlap` longer.

    Raises KeyNotFound, and RightsExceeded for a key with more rights than `by`.
    """
    _managed_key(store, key_id, by)
    token = new_token(key_id)
    former_until = datetime.now(UTC) + overlap
    key = store.rotate(key_id, digest=token.digest, former_until=former_until)
    return IssuedKey(key, token)


def revoke_key(store: KeyStore, key_id: str, *, by: ApiKey | None) -> ApiKey:
    """Refuse a key from now on. Raises like `rotate_key`."""
    _managed_key(store, key_id, by)
    return store.revoke(key_id)


def read_key(store: KeyStore, key_id: str, *, by: ApiKey | None) -> ApiKey:
    """Return a key, also a revoked one. Raises like `rotate_key`."""
    return _managed_key(store, key_id, by)


def list_keys(store: KeyStore, *, by: ApiKey | None, after: str, limit: int) -> list[ApiKey]:
    """Return up to `limit` keys with ids after `after`, without those with more rights than `by`.

    Revoked keys are included.
    """
    found: list[ApiKey] = []
    while len(found) < limit and (page := store.page(after=after, limit=limit)):
        found += [key for key in page if by is None or key.rights.within(by.rights)]
        after = page[-1].id
    return found[:limit]


def _managed_key(store: KeyStore, key_id: str, by: ApiKey | None) -> ApiKey:
    key = store.find(key_id)
    if key is None:
        raise KeyNotFound("no API key has this id")
    # a rotation returns the secret: with a key of more rights, it would raise those of `by`
    _check_within(key.rights, by)
    return key


def _check_within(rights: Rights, by: ApiKey | None) -> None:
    if by is None or rights.within(by.rights):
        return
    own = by.rights
    excess = [f"the scope {scope}" for scope in sorted(rights.scopes - own.scopes)]
    if not rights.limits.within(own.limits):
        excess.append("its limits, which must be set and not be higher")
    if not Rights(frozenset(), rights.label_sets).within(Rights(frozenset(), own.label_sets)):
        excess.append(f"its label sets: {', '.join(sorted(own.label_sets or ()))}")
    raise RightsExceeded(f"the rights exceed those of the request's API key: {', '.join(excess)}")
