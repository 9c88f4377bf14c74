# Written by client/make_sync.py; edit `_async` instead.
"""Lists that the service answers page by page."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from kinolex_client._sync.transport import SyncCall, SyncTransport
from kinolex_client.decoding import decode

_Item = TypeVar("_Item")


class SyncPaged:
    """What lists share: the connection, and the way from page to page."""

    _transport: SyncTransport

    def _pages(
        self, kind: type[_Item], path: str, query: Sequence[tuple[str, str]] = ()
    ) -> Iterator[_Item]:
        token = ""
        while True:
            page = [("page_token", token)] if token else []
            answer = self._transport.json(SyncCall("GET", path, [*query, *page]))
            for item in answer["items"]:
                yield decode(kind, item)
            token = answer["next_page_token"]
            if not token:
                return
