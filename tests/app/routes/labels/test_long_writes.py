"""Long writes of labels on a running server: progress, hang-ups, and sets that are deleted."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from app.main import create_app
from app.settings import Settings
from tests.support.fakes import ColourText, colour_tagger
from tests.support.servers import running_server

# more than one batch of the text model, and more than may be embedded in a request's own thread
LABELS = [f"red thing number {number}" for number in range(1_000)]
MANY = [*LABELS, *(f"red thing number {number}" for number in range(1_000, 1_200))]
FEW = [f"blue thing number {number}" for number in range(100)]
JSON = {"Content-Type": "application/json"}


class GatedText(ColourText):
    """Waits in one call about red things, the first or the `stop_at`th, until its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.gate = threading.Event()
        self.stop_at = 1
        self._calls = 0

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        vectors = super().encode(texts)
        if texts[0].startswith("red thing"):
            self._calls += 1
            if self._calls == self.stop_at:
                self.started.set()
                self.gate.wait()
        return vectors

    @property
    def red_things(self) -> int:
        return sum(text.startswith("red thing") for text in self.encoded)


@pytest.fixture
def text() -> GatedText:
    return GatedText()


@pytest.fixture
def address(make_settings: Callable[..., Settings], text: GatedText) -> Iterator[str]:
    app = create_app(make_settings(), tagger=colour_tagger(text=text))
    with running_server(app) as address:
        yield address.removeprefix("http://")
        text.gate.set()


def send(address: str, method: str, path: str, labels: Sequence[str] = (), **headers: str) -> Any:
    connection = http.client.HTTPConnection(address)
    body = json.dumps({"labels": labels}) if method == "PUT" else None
    connection.request(method, path, body, {**JSON, **headers})
    return connection


def ask(address: str, method: str, path: str, labels: Sequence[str] = ()) -> tuple[int, Any]:
    connection = send(address, method, path, labels)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


def names(address: str, label_set: str) -> list[str]:
    _, body = ask(address, "GET", f"/label-sets/{label_set}/labels?page_size=1000")
    return [item["name"] for item in body["items"]]


def let_the_server_notice(address: str) -> None:
    """Give the event loop turns: it reads the end of a connection before it accepts the next one.

    One turn reads it, some more cancel the request.
    """
    for _ in range(20):
        ask(address, "GET", "/healthz")


def test_a_write_is_dropped_when_the_client_hangs_up(address: str, text: GatedText) -> None:
    ask(address, "PUT", "/label-sets/sports/labels", ["green"])
    connection = send(address, "PUT", "/label-sets/sports/labels", LABELS)
    text.started.wait()
    first_batch = text.red_things

    connection.close()
    let_the_server_notice(address)
    text.gate.set()
    # large writes are embedded one after the other
    ask(address, "PUT", "/label-sets/sports/labels", FEW)

    assert sorted(names(address, "sports")) == sorted(["green", *FEW])
    assert text.red_things == first_batch < len(LABELS)


@pytest.mark.parametrize("hangs_up", [True, False])
def test_a_deleted_set_does_not_come_back(address: str, text: GatedText, hangs_up: bool) -> None:
    ask(address, "PUT", "/label-sets/sports/labels", ["green"])
    connection = send(address, "PUT", "/label-sets/sports/labels", LABELS)
    text.started.wait()
    if hangs_up:
        connection.close()

    deleted, _ = ask(address, "DELETE", "/label-sets/sports")
    text.gate.set()
    if not hangs_up:
        answer = connection.getresponse()
        problem = json.loads(answer.read())
        assert (answer.status, problem["code"]) == (409, "label_set_deleted")
        connection.close()
    ask(address, "PUT", "/label-sets/others/labels", FEW)

    assert deleted == 200
    assert ask(address, "GET", "/label-sets/sports")[1]["code"] == "label_set_not_found"
    assert text.red_things < len(LABELS)


@pytest.mark.parametrize(
    ("path", "condition"),
    [("/label-sets/sports/labels", {}), ("/label-sets/sports", {"If-None-Match": "*"})],
)
def test_a_long_write_streams_its_progress(
    address: str, text: GatedText, path: str, condition: dict[str, str]
) -> None:
    connection = send(address, "PUT", path, LABELS, Accept="text/event-stream", **condition)
    answer = connection.getresponse()
    text.gate.set()
    events = answer.read().decode()
    connection.close()

    assert answer.headers["content-type"].startswith("text/event-stream")
    name, data = events.rstrip().rsplit("\n\n", 1)[-1].splitlines()
    assert name == "event: result"
    assert json.loads(data.removeprefix("data: "))["created"] == len(LABELS)


def test_progress_is_sent_before_the_end(address: str, text: GatedText) -> None:
    text.stop_at = 2
    connection = send(
        address, "PUT", "/label-sets/sports/labels", LABELS, Accept="text/event-stream"
    )
    answer = connection.getresponse()
    events = (json.loads(line[6:]) for line in answer if line.startswith(b"data: "))
    progress = next(event for event in events if event["done"])
    text.gate.set()
    rest = answer.read()
    connection.close()

    assert 0 < progress["done"] < progress["total"] == len(LABELS)
    assert b"event: result" in rest


def test_a_write_that_fails_after_its_stream_began_ends_with_a_problem(
    address: str, text: GatedText
) -> None:
    ask(address, "PUT", "/label-sets/sports/labels", ["green"])
    connection = send(
        address, "PUT", "/label-sets/sports/labels", LABELS, Accept="text/event-stream"
    )
    answer = connection.getresponse()
    text.started.wait()
    ask(address, "DELETE", "/label-sets/sports")
    text.gate.set()
    events = answer.read().decode()
    connection.close()

    assert answer.status == 200
    assert "event: problem" in events
    assert '"code": "label_set_deleted"' in events


def begun_plain_write(address: str, text: GatedText) -> tuple[Any, Any]:
    """Send many labels, and return the connection and the answer, of which a byte was read."""
    text.stop_at = 2
    connection = send(address, "PUT", "/label-sets/sports/labels", MANY)
    answer = connection.getresponse()
    assert answer.read(1) == b"\n"
    return connection, answer


def test_a_plain_answer_to_a_long_write_begins_before_its_end(
    address: str, text: GatedText
) -> None:
    connection, answer = begun_plain_write(address, text)
    assert text.red_things < len(MANY)
    text.gate.set()
    written = json.loads(answer.read())
    connection.close()

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert written["created"] == len(MANY)


def test_a_begun_plain_answer_does_not_end_when_the_write_fails(
    address: str, text: GatedText
) -> None:
    ask(address, "PUT", "/label-sets/sports/labels", ["green"])
    connection, answer = begun_plain_write(address, text)
    ask(address, "DELETE", "/label-sets/sports")
    text.gate.set()

    with pytest.raises(http.client.IncompleteRead) as cut:
        answer.read()
    connection.close()
    assert json.loads(cut.value.partial)["code"] == "label_set_deleted"
    assert ask(address, "GET", "/label-sets/sports")[1]["code"] == "label_set_not_found"


def test_a_begun_plain_write_is_dropped_when_the_client_hangs_up(
    address: str, text: GatedText
) -> None:
    connection, answer = begun_plain_write(address, text)
    before = text.red_things
    answer.close()
    connection.close()
    let_the_server_notice(address)
    text.gate.set()
    ask(address, "PUT", "/label-sets/others/labels", FEW)

    assert text.red_things == before < len(MANY)
    assert ask(address, "GET", "/label-sets/sports")[1]["code"] == "label_set_not_found"
