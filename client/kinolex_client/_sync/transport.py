# Written by client/make_sync.py; edit `_async` instead.
"""Sends requests, again where that helps, and turns refusals into errors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from httpx2 import (
    Client,
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
from kinolex_client.waiting import sync_run, sync_sleep

_JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class SyncCall:
    """A request; its body is `body` as JSON, or the `video`."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    video: Source | None = None


class SyncTransport:
    """Sends calls over one pool of connections."""

    def __init__(self, http: Client, retries: Retries) -> None:
        self._http = http
        self._retries = retries

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def json(self, call: SyncCall) -> Any:
        """Send a call and return the JSON of its answer; None for an empty one."""
        with self.stream(call) as response:
            try:
                content = response.read()
            except HTTPError as error:
                raise ConnectionFailed(f"the answer broke off: {error!r}") from error
        return _parsed(response, content) if content else None

    @contextmanager
    def stream(self, call: SyncCall) -> Iterator[Response]:
        """Send a call and return its answer, whose body is still to be read.

        Raises a Problem, ConnectionFailed or UnexpectedAnswer.
        """
        attempt = 0
        while True:
            problem: Problem | None = None
            try:
                response = self._attempt(call)
            except (ConnectError, ConnectTimeout, PoolTimeout) as error:
                failure: Exception = ConnectionFailed(f"no connection: {error}")
                failure.__cause__ = error
            except HTTPError as error:
                # the service may have done the work
                raise ConnectionFailed(f"the connection broke: {error!r}") from error
            else:
                if response.is_success:
                    break
                failure = problem = _problem(response)
            seconds = self._retries.wait_seconds(attempt, problem)
            if seconds is None or not _can_repeat(call):
                raise failure
            sync_sleep(seconds)
            attempt += 1
        try:
            yield response
        finally:
            response.close()

    def _attempt(self, call: SyncCall) -> Response:
        headers = dict(call.headers)
        if call.video is None:
            content = None
            if call.body is not None:
                headers["Content-Type"] = _JSON_TYPE
                content = json.dumps(call.body).encode()
            return self._send(call, call.query, headers, content)
        query, edges = call.query, (b"", b"")
        headers["Content-Type"] = VIDEO_TYPE
        if needs_form(query):
            form = Form.around_video(query)
            query, edges = (), (form.before, form.after)
            headers["Content-Type"] = form.media_type
        file, size = sync_run(call.video.open)
        try:
            if size is not None:
                headers["Content-Length"] = str(size + sum(map(len, edges)))
            return self._send(call, query, headers, _pieces(file, *edges))
        finally:
            # not in a thread: a cancelled task could not wait for it
            call.video.close(file)

    def _send(
        self,
        call: SyncCall,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        content: bytes | Iterator[bytes] | None,
    ) -> Response:
        request = self._http.build_request(
            call.method, call.path, params=list(query), headers=headers, content=content
        )
        return self._http.send(request, stream=True)


def _pieces(file: BinaryIO, before: bytes, after: bytes) -> Iterator[bytes]:
    if before:
        yield before
    while piece := sync_run(file.read, PIECE_BYTES):
        yield piece
    if after:
        yield after


def _can_repeat(call: SyncCall) -> bool:
    return call.video is None or call.video.can_repeat


def _problem(response: Response) -> Problem:
    try:
        content = response.read()
    except HTTPError as error:
        raise ConnectionFailed(f"the answer broke off: {error!r}") from error
    finally:
        response.close()
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
