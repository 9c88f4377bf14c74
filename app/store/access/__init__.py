"""API keys and what they have used of their quotas, in the label database.

`KeyStore` is the way in; `records` has the values. Other rooms import names from this package only,
most of them `app.access`; secrets never come here, only their digests.
"""

from app.store.access.key_store import KeyStore
from app.store.access.records import (
    SCOPES,
    ApiKey,
    KeyNotFound,
    Limits,
    Pool,
    Quota,
    Refused,
    Rights,
    Scope,
    Taken,
    Want,
)

__all__ = [
    "SCOPES",
    "ApiKey",
    "KeyNotFound",
    "KeyStore",
    "Limits",
    "Pool",
    "Quota",
    "Refused",
    "Rights",
    "Scope",
    "Taken",
    "Want",
]
