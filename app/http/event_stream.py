"""Answers as Server-Sent Events (HTML standard, section 9.2): progress, then a result or a problem.

An error before the stream begins is answered as an ordinary problem, with its HTTP status; a later
one is sent as a `problem` event.
"""

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ObjectReceiveStream
from fastapi.sse import format_sse_event
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.lifecycle.drain import until_stopped
from app.problems import problem_of
from app.requests import cancel_on_disconnect
from model import KinolexError

EVENT_TYPE = "text/event-stream"
# Proxies and browsers close a silent connection, most of them after a minute.
_KEEP_ALIVE_SECONDS = 10.0
# A client that reads nothing for this long counts as disconnected.
_SEND_TIMEOUT_SECONDS = 30.0
_KEEP_ALIVE = format_sse_event(comment="still at work")

SendProgress = Callable[[BaseModel], Awaitable[None]]


def wants_events(request: Request) -> bool:
    """Whether the client's `Accept` requests a stream of events."""
    return EVENT_TYPE in request.headers.get("accept", "").lower()


class EventStream(Response):
    """Runs `work` while it answers: `progress` events, then one `result` or `problem`.

    `work` gets a function that sends progress. It is cancelled when the client disconnects; the
    request's body must have been received. A comment is sent after `keep_alive_seconds` without
    an event.
    """

    media_type = EVENT_TYPE

    def __init__(
        self,
        request: Request,
        work: Callable[[SendProgress], Awaitable[BaseModel]],
        *,
        keep_alive_seconds: float = _KEEP_ALIVE_SECONDS,
        send_timeout_seconds: float = _SEND_TIMEOUT_SECONDS,
    ) -> None:
        # proxies may neither cache nor buffer the events
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._request = request
        self._work = work
        self._keep_alive_seconds = keep_alive_seconds
        self._send_timeout_seconds = send_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        # one event ahead of the client: a client that reads slowly makes the work wait
        writing, reading = anyio.create_memory_object_stream[bytes](1)

        async def work() -> None:
            async with writing:
                try:
                    with until_stopped():
                        result = await self._work(
                            lambda data: writing.send(_event("progress", data))
                        )
                except KinolexError as error:
                    problem = bytes(problem_of(self._request, error).body).decode()
                    await writing.send(format_sse_event(event="problem", data_str=problem))
                else:
                    await writing.send(_event("result", result))

        async with cancel_on_disconnect(self._request), anyio.create_task_group() as group:
            group.start_soon(work)
            async with reading:
                is_complete = await self._send_events(reading, send)
                if not is_complete:
                    group.cancel_scope.cancel()
        # outside the task group, which would wrap the exception
        if not is_complete:
            raise ClientDisconnect
        await send({"type": "http.response.body"})

    async def _send_events(self, events: ObjectReceiveStream[bytes], send: Send) -> bool:
        """Send all events; False if the client stopped reading before the end."""
        event = _KEEP_ALIVE
        while True:
            with anyio.move_on_after(self._send_timeout_seconds) as timeout:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            if timeout.cancelled_caught:
                return False
            event = _KEEP_ALIVE
            try:
                with anyio.move_on_after(self._keep_alive_seconds):
                    event = await events.receive()
            except anyio.EndOfStream:
                return True


def _event(name: str, data: BaseModel) -> bytes:
    return format_sse_event(event=name, data_str=data.model_dump_json())
