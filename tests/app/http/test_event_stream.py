"""`POST /classify` as a stream of events: progress, then the answer or the problem."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.fakes import ColourEncoder, colour_tagger
from tests.support.servers import running_server

# Twelve windows of a second: two turns of the service.
VIDEO = clip_bytes(seconds_colours=["red"] * 6 + ["blue"] * 6)
ASKED = "/classify?labels=red,blue&granularity=segments&window_seconds=1&stride_seconds=1"
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


def test_progress_tells_of_every_window_once_and_the_result_is_the_plain_answer(
    client: TestClient,
) -> None:
    plain = client.post(ASKED, content=VIDEO, headers={"Content-Type": "video/mp4"}).json()
    answer = client.post(ASKED, content=VIDEO, headers=HEADERS)
    *progress, (last, result) = events_of(answer.text)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert [(name, told["done"], told["total"]) for name, told in progress] == [
        ("progress", 8, 12),
        ("progress", 12, 12),
    ]
    windows = [window for _, told in progress for window in told["windows"]]
    assert [window["start"] for window in windows] == list(range(12))
    assert [window["tags"][0]["label"] for window in windows] == ["red"] * 6 + ["blue"] * 6
    assert progress[0][1]["duration"] == plain["video"]["duration"]
    assert last == "result"
    for body in (plain, result):
        del body["request_id"], body["timings"]
    assert result == plain


def test_a_whole_video_has_only_a_result(client: TestClient) -> None:
    answer = client.post("/classify?labels=red", content=VIDEO, headers=HEADERS)

    assert [name for name, _ in events_of(answer.text)] == ["result"]


def test_what_fails_before_the_video_is_in_has_its_own_status(client: TestClient) -> None:
    answer = client.post("/classify?top_k=0", content=VIDEO, headers=HEADERS)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content", "path", "code", "status"),
    [
        (b"no video at all" * 100, ASKED, "not_a_video", 415),
        (VIDEO, ASKED.replace("labels=red,blue", "label_set=nowhere"), "label_set_not_found", 404),
        (VIDEO, f"{ASKED}&timeout_seconds=0.000001", "deadline_exceeded", 503),
    ],
)
def test_what_fails_later_is_an_event_with_the_problem(
    content: bytes, path: str, code: str, status: int, client: TestClient
) -> None:
    [(name, problem)] = events_of(client.post(path, content=content, headers=HEADERS).text)

    assert name == "problem"
    assert (problem["code"], problem["status"]) == (code, status)


class CountingEncoder(ColourEncoder):
    """Encodes when it is let; counts the windows it was given."""

    def __init__(self) -> None:
        self.windows = 0
        self.go = threading.Semaphore(1)

    def encode(self, pixels: torch.Tensor) -> Any:
        assert self.go.acquire(timeout=30)
        self.windows += len(pixels)
        return super().encode(pixels)


@pytest.fixture
def slow(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[CountingEncoder, http.client.HTTPConnection]]:
    """A service that encodes when it is let, keeps its connections alive often, and a client."""
    monkeypatch.setattr("app.http.event_stream._QUIET_SECONDS", 0.05)
    encoder = CountingEncoder()
    app = create_app(make_settings(), tagger=colour_tagger(encoder=encoder))
    with running_server(app) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        try:
            yield encoder, connection
        finally:
            encoder.go.release(1000)
            connection.close()


def test_a_quiet_stream_is_kept_alive_and_events_come_when_they_happen(
    slow: tuple[CountingEncoder, http.client.HTTPConnection],
) -> None:
    encoder, connection = slow
    connection.request("POST", ASKED, VIDEO, HEADERS)
    answer = connection.getresponse()

    comments = [answer.readline() for _ in range(6)]
    # eight calls of a window each: the first turn, and no more
    encoder.go.release(8)
    lines = iter(answer.readline, b"")
    told = next(line for line in lines if line.startswith(b"data"))

    assert comments == [b": still at work\n", b"\n"] * 3
    assert json.loads(told.removeprefix(b"data: "))["done"] == 8


def test_nothing_is_done_for_a_client_that_is_gone(
    slow: tuple[CountingEncoder, http.client.HTTPConnection],
) -> None:
    encoder, connection = slow
    connection.request("POST", ASKED, VIDEO, HEADERS)
    answer = connection.getresponse()
    assert answer.readline() == b": still at work\n"
    answer.close()
    connection.close()
    encoder.go.release(1000)

    connection.request("POST", "/classify?labels=red", VIDEO, {"Content-Type": "video/mp4"})
    assert connection.getresponse().status == 200
    # the warm-up, what was in the encoder when the client left, and the second question
    assert encoder.windows <= 1 + 2 + 1
