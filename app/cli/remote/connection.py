"""Requests of commands to a running service, and the messages for what fails.

http.client does what is needed: one request at a time, a file as the body, no redirect. A client
library would be a dependency of every installation for two commands.
"""

import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Annotated, Any, BinaryIO
from urllib.parse import urlencode, urlsplit

import typer

from app.cli.exits import read_settings

UrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        help="Address of the service. KINOLEX_API_KEY holds the API key, if it needs one.",
        metavar="URL",
    ),
]
DEFAULT_URL = "http://127.0.0.1:8000"
Pairs = Sequence[tuple[str, str]]
_KINDS: Mapping[str, type[HTTPConnection]] = {"http": HTTPConnection, "https": HTTPSConnection}

# A search and the answers about jobs take milliseconds; an upload is written piece by piece.
_TIMEOUT_SECONDS = 120.0
# A film's tags are sent when all of it is tagged; the service's own limit is half an hour.
_FILM_SECONDS = 2000.0


class ServiceRefused(Exception):
    """The service answered with a problem document, or with what is not an answer of Kinolex."""

    def __init__(self, code: str, detail: str, errors: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class RemoteService:
    """A service at an address. Methods raise ServiceRefused, and OSError if nothing answers."""

    url: str
    api_key: str

    def get(self, path: str, query: Pairs = ()) -> dict[str, Any]:
        """Return the JSON of an address."""
        return self._json("GET", path, query)

    def delete(self, path: str) -> dict[str, Any]:
        """Send DELETE and return the JSON of the answer."""
        return self._json("DELETE", path, ())

    def submit(
        self, video: BinaryIO, query: Pairs, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Send a video file as a job, with the options in the query; return the job."""
        headers = _headers_of(video)
        if idempotency_key is not None:
            headers["Idempotency-Key"] = _sendable(idempotency_key, "the idempotency key")
        return self._json("POST", "/jobs", query, video, headers)

    def classify(self, video: BinaryIO, query: Pairs, accept: str) -> str:
        """Send a video file and return its tags as text of the media type `accept`."""
        headers = {**_headers_of(video), "Accept": accept}
        if accept == "application/json":
            return json.dumps(self._json("POST", "/classify", query, video, headers, _FILM_SECONDS))
        status, body = self._exchange("POST", "/classify", query, video, headers, _FILM_SECONDS)
        if status >= 400:
            _json_of(status, body, self.url)
        return body.decode("utf-8", "replace")

    def pages(self, path: str, query: Pairs, limit: int) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` items of a list, page after page."""
        token = ""
        while True:
            page = self.get(path, [*query, *([("page_token", token)] if token else [])])
            yield from page["items"][:limit]
            limit -= len(page["items"])
            token = page["next_page_token"]
            if not token or limit <= 0:
                return

    def _json(
        self,
        method: str,
        path: str,
        query: Pairs,
        body: BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> dict[str, Any]:
        status, answer = self._exchange(method, path, query, body, headers or {}, timeout)
        return _json_of(status, answer, self.url)

    def _exchange(
        self,
        method: str,
        path: str,
        query: Pairs,
        body: BinaryIO | None,
        headers: Mapping[str, str],
        timeout: float,
    ) -> tuple[int, bytes]:
        kind, host, port, prefix = _parsed(self.url)
        sent = dict(headers)
        if self.api_key:
            sent["Authorization"] = f"Bearer {_sendable(self.api_key, 'KINOLEX_API_KEY')}"
        target = prefix + path + (f"?{urlencode(query)}" if query else "")
        connection = kind(host, port, timeout=timeout)
        try:
            try:
                connection.request(method, target, body, sent)
            except (BrokenPipeError, ConnectionResetError):
                # the service refused the video before its end; the answer says why
                if body is None or connection.sock is None:
                    raise
            answer = connection.getresponse()
            return answer.status, answer.read()
        except HTTPException as error:
            raise ServiceRefused("no_answer", f"{self.url} gave no answer of HTTP") from error
        finally:
            connection.close()


def _parsed(url: str) -> tuple[type[HTTPConnection], str, int, str]:
    """Return the kind of connection, host, port and path of an address. Raises ServiceRefused."""
    refused = ServiceRefused("invalid_url", f"{url!r} is no http or https address")
    try:
        parts = urlsplit(url)
        kind = _KINDS[parts.scheme]
        host = (parts.hostname or "").encode("idna").decode()
        port = kind.default_port if parts.port is None else parts.port
    except (ValueError, KeyError) as error:
        raise refused from error
    if not host or not _is_visible(parts.path):
        raise refused
    return kind, host, port, parts.path.rstrip("/")


def _sendable(value: str, name: str) -> str:
    """Return what a header may hold: without the line end of the file that it was read from."""
    value = value.strip()
    if not _is_visible(value):
        # the message must not contain the key
        raise ServiceRefused("invalid_parameter", f"{name} holds other than visible ASCII signs")
    return value


def _is_visible(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _headers_of(video: BinaryIO) -> dict[str, str]:
    size = os.fstat(video.fileno()).st_size
    return {"Content-Type": "application/octet-stream", "Content-Length": str(size)}


def _json_of(status: int, body: bytes, url: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or (status >= 400 and "code" not in answer):
        raise ServiceRefused(
            "not_kinolex", f"{url} answered with status {status}, but not as Kinolex does"
        )
    if status >= 400:
        errors = [f"{each['pointer']}: {each['detail']}" for each in answer.get("errors", ())]
        raise ServiceRefused(answer["code"], answer["detail"], errors)
    return answer


@contextmanager
def remote_service(url: str) -> Generator[RemoteService]:
    """Give the service at `url`; print expected errors of the block and exit with code 1."""
    service = RemoteService(url, read_settings().api_key)
    try:
        yield service
    except ServiceRefused as error:
        for line in error.errors or (f"{error} ({error.code})",):
            typer.echo(line, err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        reason = error.strerror or str(error)
        typer.echo(f"{url} does not answer: {reason} (service_unreachable)", err=True)
        raise typer.Exit(1) from error
