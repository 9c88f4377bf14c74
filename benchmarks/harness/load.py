"""Closed-loop HTTP clients: each sends its next request when its last one is answered."""

import http.client
import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body and its Content-Type."""

    content_type: str
    parts: tuple[bytes, ...]

    @classmethod
    def form(cls, video: Path, **fields: str) -> "Body":
        """Make a form with the video in the part `file`, as a browser or curl sends it."""
        boundary = uuid.uuid4().hex
        head = "".join(
            f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head += (
            f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="video.mp4"\r\n'
            "content-type: video/mp4\r\n\r\n"
        )
        return cls(
            f"multipart/form-data; boundary={boundary}",
            (head.encode(), video.read_bytes(), f"\r\n--{boundary}--\r\n".encode()),
        )


@dataclass(frozen=True, slots=True)
class Load:
    """Answers per second for a number of clients, and the seconds that each answer took."""

    clients: int
    per_second: float
    latencies: tuple[float, ...]
    errors: tuple[str, ...] = ()


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` % of the values do not exceed; NaN if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def run_clients(
    port: int,
    path: str,
    body: Body,
    *,
    clients: int,
    seconds: float,
    at_end: Callable[[], object] = lambda: None,
) -> Load:
    """Run `clients` clients of a server on 127.0.0.1; none starts a request after `seconds`.

    `at_end` is called after `seconds`, when all clients still wait for an answer. Each client gets
    at least one answer. A request that is in progress at the end counts by the share of its time
    that lies before the end: counting whole answers would be off by up to `clients` answers, which
    is much if one answer takes as long as the measurement.
    """
    spans: list[tuple[float, float]] = []
    errors: list[str] = []
    start = threading.Barrier(clients + 1)

    def client() -> None:
        start.wait()
        first = True
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
        try:
            while first or time.perf_counter() < end:
                first = False
                began = time.perf_counter()
                _ask(connection, path, body)
                spans.append((began, time.perf_counter()))
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            errors.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    end = began + seconds
    start.wait()
    time.sleep(seconds)
    at_end()
    for thread in threads:
        thread.join()
    # if every answer takes longer than `seconds`, the first answer ends the measurement
    end = max(end, min((done for _, done in spans), default=end))
    shares = [(min(done, end) - since) / (done - since) for since, done in spans if since < end]
    return Load(
        clients,
        sum(shares) / (end - began),
        tuple(done - since for since, done in spans),
        tuple(errors),
    )


def ask(port: int, path: str, body: Body) -> tuple[float, dict[str, Any]]:
    """Send one request; returns seconds and answer. Raises RuntimeError unless it is 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    began = time.perf_counter()
    try:
        text = _ask(connection, path, body)
    finally:
        connection.close()
    return time.perf_counter() - began, json.loads(text)


def fetch(port: int, path: str) -> dict[str, Any]:
    """The JSON answer to a GET request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        return dict(json.loads(connection.getresponse().read()))
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, path: str, body: Body) -> bytes:
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", body.content_type)
    connection.putheader("Content-Length", str(sum(map(len, body.parts))))
    connection.endheaders()
    for part in body.parts:
        connection.send(part)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {text[:200].decode(errors='replace')}")
    return text
