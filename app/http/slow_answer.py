"""A JSON answer that takes minutes: line breaks come before it, so that nothing gives it up.

Clients, proxies and load balancers close a connection on which nothing arrives for some time. JSON
may begin with any number of line breaks.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.lifecycle.drain import until_stopped
from app.problems import problem_of
from app.requests import JSON_TYPE, cancel_on_disconnect
from model import KinolexError

SendLineBreak = Callable[[], Awaitable[None]]


class SlowAnswer(Response):
    """Answers with the response that `work` returns, a JSON document with status 200.

    `work` gets a function that sends a line break. The first one sends status 200 with it, without
    the headers of the later response, so that an error has no status of its own any more: then its
    problem document is sent and the connection closed before the end of the answer, which HTTP
    clients report as an error. `work` is cancelled when the client disconnects; the request's body
    must have been received.
    """

    media_type = JSON_TYPE

    def __init__(
        self, request: Request, work: Callable[[SendLineBreak], Awaitable[Response]]
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._request = request
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope. Raises what `work` raises before it sent a line break."""
        start: Message = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        has_begun = False

        async def send_part(body: bytes, *, is_last: bool = False) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": not is_last})

        async def send_line_break() -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                await send(start)
            await send_part(b"\n")

        async with cancel_on_disconnect(self._request):
            try:
                with until_stopped():
                    response = await self._work(send_line_break)
            except KinolexError as error:
                if not has_begun:
                    raise
                await send_part(bytes(problem_of(self._request, error).body))
                return
        if has_begun:
            await send_part(bytes(response.body), is_last=True)
        else:
            await response(scope, receive, send)
