"""The part that decides about requests: who is asking, and what that client may do."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

import anyio
from starlette.requests import Request
from structlog.typing import FilteringBoundLogger

from app.access.clients import is_local
from app.access.errors import KeyNotValid, KeyRequired
from app.access.grants import KEYLESS, NOBODY, Grant
from app.access.keyring import Keyring
from app.access.quotas import Quotas
from app.access.rules import Rule
from app.lifecycle.background import keep_running
from app.store.access import KeyStore

Mode: TypeAlias = Literal["keys", "local", "open"]

_SCHEME = "bearer"


class Access:
    """Keys, quotas, and which clients need no key."""

    def __init__(self, store: KeyStore, *, open_without_keys: bool = False) -> None:
        self.store = store
        self.keyring = Keyring(store)
        self.quotas = Quotas(store)
        self._open_without_keys = open_without_keys

    async def mode(self) -> Mode:
        """Return who is answered: holders of keys, clients on this computer, or all clients.

        Raises StoreUnavailable if it was never known whether there are keys.
        """
        if await self.keyring.has_keys():
            return "keys"
        return "open" if self._open_without_keys else "local"

    async def grant(self, request: Request, rule: Rule) -> Grant:
        """Return what the request may do at an address with this rule.

        Raises KeyRequired, KeyNotValid, ScopeMissing or StoreUnavailable.
        """
        if rule.audience == "everyone":
            return NOBODY
        if await self.keyring.has_keys():
            if rule.audience == "browsers":
                return NOBODY
            grant = await self.keyring.grant_of(_sent_key(request))
        elif self._open_without_keys or is_local(request):
            grant = KEYLESS
        else:
            raise KeyRequired(
                "the service has no API keys yet and answers only clients on its own computer; "
                "there, create a key with `kinolex keys create`"
            )
        if rule.scope is not None:
            grant.check_scope(rule.scope)
        return grant


def _sent_key(request: Request) -> str:
    """Return the text of the key in `Authorization: Bearer`. Raises KeyRequired or KeyNotValid."""
    headers = request.headers.getlist("authorization")
    if not headers:
        raise KeyRequired("send an API key: Authorization: Bearer kx_...")
    scheme, _, text = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != _SCHEME:
        raise KeyNotValid("send one API key: Authorization: Bearer kx_...")
    return text.strip()


@asynccontextmanager
async def open_access(
    store: KeyStore, *, open_without_keys: bool, log: FilteringBoundLogger
) -> AsyncGenerator[Access]:
    """Open the access for the block, and log who is answered if no key is needed."""
    access = Access(store, open_without_keys=open_without_keys)
    mode = await access.mode()
    if mode == "local":
        log.warning("no_keys", detail="no API keys: only clients on this computer are answered")
    elif mode == "open":
        log.warning(
            "no_keys",
            detail="no API keys, and KINOLEX_OPEN_WITHOUT_KEYS is set: every client that reaches "
            "the port is answered",
        )
    async with anyio.create_task_group() as group:
        group.start_soon(keep_running, "key use", access.keyring.write_uses, log)
        yield access
        group.cancel_scope.cancel()
    await access.keyring.write_uses_now()
