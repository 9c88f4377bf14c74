"""Sends requests, again where that helps, and turns refusals into errors."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from httpx2 import (
    AsyncClient,
    ConnectError,
    ConnectTimeout,
    HTTPError,
    PoolTimeout,
    Response,
)

from kinolex_client.errors import ConnectionFailed, Problem, UnexpectedAnswer
from kinolex_client.forms import Form, needs_form
from kinolex_client.problems import problem_of
from kinolex_client.retries import Retries, retry_after
from kinolex_client.videos import PIECE_BYTES, VIDEO_TYPE, Source
from kinolex_client.waiting import async_run, async_sleep

_JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class AsyncCall:
    """A request; its body is `body` as JSON, or the `video`."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    video: Source | None = None


class AsyncTransport:
    """Sends calls over one pool of connections."""

    def __init__(self, http: AsyncClient, retries: Retries) -> None:
        self._http = http
        self._retries = retries

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def json(self, call: AsyncCall) -> Any:
        """Send a call and return the JSON of its answer; None for an empty one."""
        async with self.stream(call) as response:
            try:
                content = await response.aread()
            except HTTPError as error:
                raise ConnectionFailed(f"the answer broke off: {error!r}") from error
        return _parsed(response, content) if content else None

    @asynccontextmanager
    async def stream(self, call: AsyncCall) -> AsyncIterator[Response]:
        """Send a call and return its answer, whose body is still to be read.

        Raises a Problem, ConnectionFailed or UnexpectedAnswer.
        """
        attempt = 0
        while True:
            problem: Problem | None = None
            try:
                response = await self._attempt(call)
            except (ConnectError, ConnectTimeout, PoolTimeout) as error:
                failure: Exception = ConnectionFailed(f"no connection: {error}")
                failure.__cause__ = error
            except HTTPError as error:
                # the service may have done the work
                raise ConnectionFailed(f"the connection broke: {error!r}") from error
            else:
                if response.is_success:
                    break
                failure = problem = await _problem(response)
            seconds = self._retries.wait_seconds(attempt, problem)
            if seconds is None or not _can_repeat(call):
                raise failure
            await async_sleep(seconds)
            attempt += 1
        try:
            yield response
        finally:
            await response.aclose()

    async def _attempt(self, call: AsyncCall) -> Response:
        headers = dict(call.headers)
        if call.video is None:
            content = None
            if call.body is not None:
                headers["Content-Type"] = _JSON_TYPE
                content = json.dumps(call.body).encode()
            return await self._send(call, call.query, headers, content)
        query, edges = call.query, (b"", b"")
        headers["Content-Type"] = VIDEO_TYPE
        if needs_form(query):
            form = Form.around_video(query)
            query, edges = (), (form.before, form.after)
            headers["Content-Type"] = form.media_type
        file, size = await async_run(call.video.open)
        try:
            if size is not None:
                headers["Content-Length"] = str(size + sum(map(len, edges)))
            return await self._send(call, query, headers, _pieces(file, *edges))
        finally:
            # not in a thread: a cancelled task could not wait for it
            call.video.close(file)

    async def _send(
        self,
        call: AsyncCall,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        content: bytes | AsyncIterator[bytes] | None,
    ) -> Response:
        request = self._http.build_request(
            call.method, call.path, params=list(query), headers=headers, content=content
        )
        return await self._http.send(request, stream=True)


async def _pieces(file: BinaryIO, before: bytes, after: bytes) -> AsyncIterator[bytes]:
    if before:
        yield before
    while piece := await async_run(file.read, PIECE_BYTES):
        yield piece
    if after:
        yield after


def _can_repeat(call: AsyncCall) -> bool:
    return call.video is None or call.video.can_repeat


async def _problem(response: Response) -> Problem:
    try:
        content = await response.aread()
    except HTTPError as error:
        raise ConnectionFailed(f"the answer broke off: {error!r}") from error
    finally:
        await response.aclose()
    try:
        return problem_of(_parsed(response, content), retry_after(response.headers))
    except (KeyError, TypeError) as error:
        raise _unexpected(response) from error


def _parsed(response: Response, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise _unexpected(response) from error


def _unexpected(response: Response) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"{response.request.method} {response.request.url} was answered with status "
        f"{response.status_code} and {response.headers.get('content-type', 'no content')}; is this "
        "the address of Kinolex?"
    )
