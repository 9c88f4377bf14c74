# Written by client/make_sync.py; edit `_async` instead.
"""Answers that arrive as Server-Sent Events."""

import json
from collections.abc import Iterator
from dataclasses import replace

from httpx2 import HTTPError

from kinolex_client._sync.transport import SyncCall, SyncTransport
from kinolex_client.answers import Classification, Progress
from kinolex_client.decoding import decode
from kinolex_client.errors import ConnectionFailed
from kinolex_client.events import Event, EventParser
from kinolex_client.problems import problem_of


def classification_events(
    transport: SyncTransport, call: SyncCall
) -> Iterator[Progress | Classification]:
    """Send the call; yield what was done, then the result. Raises the problem that came instead."""
    for event in _events(transport, call):
        data = json.loads(event.data)
        if event.name == "problem":
            raise problem_of(data)
        yield decode(Progress, data) if event.name == "progress" else decode(Classification, data)


def _events(transport: SyncTransport, call: SyncCall) -> Iterator[Event]:
    """Yield events until the last one, `result` or `problem`."""
    parser = EventParser()
    call = replace(call, headers={**call.headers, "Accept": "text/event-stream"})
    with transport.stream(call) as response:
        try:
            for piece in response.iter_bytes():
                for event in parser.feed(piece):
                    yield event
                    if event.name in ("result", "problem"):
                        return
        except HTTPError as error:
            raise ConnectionFailed(f"the stream of events broke off: {error!r}") from error
    raise ConnectionFailed("the stream of events ended without a result")
