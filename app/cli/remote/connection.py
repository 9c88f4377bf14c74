"""Requests of commands to a running service, and the messages for what fails.

http.client does what is needed: one request at a time, a file as the body, no redirect. A client
library would be a dependency of every installation for two commands.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
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

# A search and the answers about jobs take milliseconds; an upload is written piece by piece.
_TIMEOUT_SECONDS = 120.0


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
        return self._send("GET", path, query)

    def delete(self, path: str) -> dict[str, Any]:
        """Send DELETE and return the JSON of the answer."""
        return self._send("DELETE", path, ())

    def post_video(
        self, path: str, video: Path, query: Pairs, idempotency_key: str | None
    ) -> dict[str, Any]:
        """Send a video file as the body, with the options in the query; return the JSON."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(video.stat().st_size),
        }
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        with video.open("rb") as file:
            return self._send("POST", path, query, file, headers)

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

    def _send(
        self,
        method: str,
        path: str,
        query: Pairs,
        body: BinaryIO | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServiceRefused("invalid_url", f"{self.url!r} is no http or https address")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        sent = dict(headers or {})
        if self.api_key:
            sent["Authorization"] = f"Bearer {self.api_key}"
        target = parts.path.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)
        try:
            try:
                connection.request(method, target, body, sent)
            except (BrokenPipeError, ConnectionResetError):
                # the service refused the video before its end; the answer says why
                if body is None or connection.sock is None:
                    raise
            answer = connection.getresponse()
            return _json_of(answer.status, answer.read(), self.url)
        except HTTPException as error:
            raise ServiceRefused("no_answer", f"{self.url} gave no answer of HTTP") from error
        finally:
            connection.close()


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
