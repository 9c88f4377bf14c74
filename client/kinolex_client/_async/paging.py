"""Lists that the service answers page by page."""

from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from kinolex_client._async.transport import AsyncCall, AsyncTransport
from kinolex_client.decoding import decode

_Item = TypeVar("_Item")


class AsyncPaged:
    """What lists share: the connection, and the way from page to page."""

    _transport: AsyncTransport

    async def _pages(
        self, kind: type[_Item], path: str, query: Sequence[tuple[str, str]] = ()
    ) -> AsyncIterator[_Item]:
        token = ""
        while True:
            page = [("page_token", token)] if token else []
            answer = await self._transport.json(AsyncCall("GET", path, [*query, *page]))
            for item in answer["items"]:
                yield decode(kind, item)
            token = answer["next_page_token"]
            if not token:
                return
