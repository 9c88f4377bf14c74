"""An answer that grows: Server-Sent Events, for a page that draws while the service works.

The format is the HTML standard's (section 9.2). Whatever fails before the stream has begun is an
ordinary problem with its status; later it is a `problem` event.
"""

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ObjectReceiveStream
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.problems import problem_of
from app.requests import cancel_on_disconnect
from model import KinolexError

EVENT_TYPE = "text/event-stream"
# Proxies and browsers give up on a connection that says nothing, most of them after a minute.
_QUIET_SECONDS = 10.0
# A client that does not read for so long is taken for gone.
_STUCK_SECONDS = 30.0
_KEEP_ALIVE = b": still at work\n\n"

Tell = Callable[[BaseModel], Awaitable[None]]


def wants_events(request: Request) -> bool:
    """Whether the client asked for a stream of events."""
    return EVENT_TYPE in request.headers.get("accept", "").lower()


class EventStream(Response):
    """Runs `work` while it answers: `progress` events, then one `result` or `problem`.

    `work` is given a function that sends progress. It is cancelled when the client hangs up; the
    request's body must have been received.
    """

    media_type = EVENT_TYPE

    def __init__(self, request: Request, work: Callable[[Tell], Awaitable[BaseModel]]) -> None:
        # no proxy may keep back what is meant for now
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._request = request
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        # one event ahead of the client, no more: who reads slowly makes the work wait
        events, waiting = anyio.create_memory_object_stream[bytes](1)

        async def work() -> None:
            async with events:
                try:
                    result = await self._work(lambda told: events.send(_event("progress", told)))
                except KinolexError as error:
                    body = bytes(problem_of(self._request, error).body)
                    await events.send(b"event: problem\ndata: " + body + b"\n\n")
                else:
                    await events.send(_event("result", result))

        async with cancel_on_disconnect(self._request), anyio.create_task_group() as group:
            group.start_soon(work)
            async with waiting:
                await _pass_on(waiting, send)
        await send({"type": "http.response.body"})


async def _pass_on(waiting: ObjectReceiveStream[bytes], send: Send) -> None:
    event = _KEEP_ALIVE
    while True:
        with anyio.move_on_after(_STUCK_SECONDS) as stuck:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        if stuck.cancelled_caught:
            raise ClientDisconnect
        event = _KEEP_ALIVE
        try:
            with anyio.move_on_after(_QUIET_SECONDS):
                event = await waiting.receive()
        except anyio.EndOfStream:
            return


def _event(name: str, told: BaseModel) -> bytes:
    # JSON on one line: a line break inside would end the data
    return f"event: {name}\ndata: {told.model_dump_json()}\n\n".encode()
