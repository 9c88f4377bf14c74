"""`POST /classify` as a stream of events: progress, then the answer or the problem."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import anyio
import numpy as np
import numpy.typing as npt
import pytest
import torch
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import Message

from app.http.event_stream import EventStream, SendProgress
from app.main import create_app
from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.fakes import ColourEncoder, colour_tagger
from tests.support.servers import open_client, running_server

# Twelve windows of a second: the service works on eight, then on four.
VIDEO = clip_bytes(seconds_colours=["red"] * 6 + ["blue"] * 6)
PATH = "/classify?labels=red,blue&granularity=segments&window_seconds=1&stride_seconds=1"
HEADERS = {"Content-Type": "video/mp4", "Accept": "text/event-stream"}


def events_of(body: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each event; comments are left out."""
    events = []
    for block in body.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.split("\n") if line[:1] not in ("", ":")
        )
        if fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


def test_progress_has_every_window_once_and_the_result_is_the_plain_answer(
    shared_client: TestClient,
) -> None:
    plain = shared_client.post(PATH, content=VIDEO, headers={"Content-Type": "video/mp4"}).json()
    answer = shared_client.post(PATH, content=VIDEO, headers=HEADERS)
    *progress, (last, result) = events_of(answer.text)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert [(name, data["done"], data["total"]) for name, data in progress] == [
        ("progress", 1, 12),
        ("progress", 12, 12),
    ]
    windows = [window for _, data in progress for window in data["windows"]]
    assert [window["start"] for window in windows] == list(range(12))
    assert [window["tags"][0]["label"] for window in windows] == ["red"] * 6 + ["blue"] * 6
    assert progress[0][1]["duration"] == plain["video"]["duration"]
    assert last == "result"
    for body in (plain, result):
        del body["request_id"], body["timings"]
    assert result == plain


def test_a_whole_video_has_only_a_result(shared_client: TestClient) -> None:
    answer = shared_client.post("/classify?labels=red", content=VIDEO, headers=HEADERS)

    assert [name for name, _ in events_of(answer.text)] == ["result"]


def test_what_fails_before_the_video_is_in_has_its_own_status(shared_client: TestClient) -> None:
    answer = shared_client.post("/classify?top_k=0", content=VIDEO, headers=HEADERS)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content", "path", "code", "status"),
    [
        (b"no video at all" * 100, PATH, "not_a_video", 415),
        (VIDEO, PATH.replace("labels=red,blue", "label_set=nowhere"), "label_set_not_found", 404),
    ],
)
def test_what_fails_later_is_an_event_with_the_problem(
    content: bytes, path: str, code: str, status: int, shared_client: TestClient
) -> None:
    [(name, problem)] = events_of(shared_client.post(path, content=content, headers=HEADERS).text)

    assert name == "problem"
    assert (problem["code"], problem["status"]) == (code, status)


def test_a_deadline_is_an_event_too(make_settings: Callable[..., Settings]) -> None:
    with open_client(make_settings(request_timeout_seconds=1e-6)) as client:
        [(name, problem)] = events_of(client.post(PATH, content=VIDEO, headers=HEADERS).text)

    assert (name, problem["code"]) == ("problem", "deadline_exceeded")


class Count(BaseModel):
    """The data of the events below."""

    number: int


def test_a_silent_stream_is_kept_alive_by_comments() -> None:
    go = threading.Event()

    async def work(send: SendProgress) -> Count:
        await send(Count(number=1))
        await anyio.to_thread.run_sync(go.wait)
        return Count(number=2)

    app = FastAPI()

    @app.get("/")
    async def count(request: Request) -> Response:
        return EventStream(request, work, keep_alive_seconds=0.05)

    with running_server(app) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        connection.request("GET", "/")
        answer = connection.getresponse()
        lines = [answer.readline() for _ in range(9)]
        go.set()
        rest = answer.read()
        connection.close()

    comment = [b": still at work\n", b"\n"]
    assert lines == [
        *comment, b"event: progress\n", b'data: {"number":1}\n', b"\n", *comment, *comment
    ]  # fmt: skip
    assert rest.endswith(b'event: result\ndata: {"number":2}\n\n')


def test_work_is_cancelled_for_a_client_that_does_not_read() -> None:
    is_cancelled = False

    async def work(send: SendProgress) -> Count:
        nonlocal is_cancelled
        try:
            await anyio.sleep_forever()
            raise AssertionError
        finally:
            is_cancelled = True

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    async def answer() -> None:
        scope = {"type": "http", "headers": []}
        stream = EventStream(Request(scope, receive), work, send_timeout_seconds=0.01)
        await stream(scope, receive, send)

    with pytest.raises(ClientDisconnect):
        anyio.run(answer)

    assert is_cancelled


class CountingEncoder(ColourEncoder):
    """Encodes as many windows as it is allowed to, and counts them."""

    def __init__(self) -> None:
        self.windows = 0
        self.allowed = threading.Semaphore(1)

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        assert self.allowed.acquire(timeout=30)
        self.windows += len(pixels)
        return super().features(pixels)


@pytest.fixture
def slow(
    make_settings: Callable[..., Settings],
) -> Iterator[tuple[CountingEncoder, http.client.HTTPConnection]]:
    """A service that encodes when it is allowed to, and a client."""
    encoder = CountingEncoder()
    app = create_app(make_settings(), tagger=colour_tagger(encoder=encoder))
    with running_server(app) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        try:
            yield encoder, connection
        finally:
            encoder.allowed.release(1000)
            connection.close()


def test_progress_is_sent_when_it_is_made(
    slow: tuple[CountingEncoder, http.client.HTTPConnection],
) -> None:
    encoder, connection = slow
    connection.request("POST", PATH, VIDEO, HEADERS)
    answer = connection.getresponse()
    assert answer.readline() == b": still at work\n"

    # one call: the first batch has the first window, and no more
    encoder.allowed.release(1)
    lines = iter(answer.readline, b"")
    data = next(line for line in lines if line.startswith(b"data"))

    assert json.loads(data.removeprefix(b"data: "))["done"] == 1


def test_no_work_is_done_for_a_client_that_disconnected(
    slow: tuple[CountingEncoder, http.client.HTTPConnection],
) -> None:
    encoder, connection = slow
    connection.request("POST", PATH, VIDEO, HEADERS)
    answer = connection.getresponse()
    assert answer.readline() == b": still at work\n"
    answer.close()
    connection.close()
    encoder.allowed.release(1000)

    connection.request("POST", "/classify?labels=red", VIDEO, {"Content-Type": "video/mp4"})
    assert connection.getresponse().status == 200
    # the warm-up, what was in the encoder when the client left, and the second request
    assert encoder.windows <= 1 + 2 + 1
