"""API keys in the database of a service."""

from app.access.management import IssuedKey, create_key
from app.settings import Settings
from app.store.access import SCOPES, Limits, Rights, Scope
from app.store.access.key_store import KeyStore

ALL_SCOPES: frozenset[Scope] = frozenset(SCOPES)


def issue_key(
    settings: Settings,
    *scopes: Scope,
    label_sets: frozenset[str] | None = None,
    limits: Limits | None = None,
    name: str = "test",
) -> IssuedKey:
    """Create a key as `kinolex keys create` does."""
    store = KeyStore.open(settings.store_url)
    try:
        rights = Rights(frozenset(scopes), label_sets, limits or Limits())
        return create_key(store, name, rights, by=None)
    finally:
        store.close()


def bearer(key: IssuedKey | str) -> dict[str, str]:
    """The header that sends a key."""
    text = key if isinstance(key, str) else key.token.text
    return {"Authorization": f"Bearer {text}"}
