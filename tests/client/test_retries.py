"""When the client sends a request again: against a service that refuses as told."""

import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request, Response

from kinolex_client import ConnectionFailed, Kinolex, Retries, UnexpectedAnswer, problems
from tests.support.ports import free_port
from tests.support.servers import running_server

PROBLEM = {"title": "T", "detail": "D", "request_id": "r"}


class Refusing:
    """A service that gives its answers in turn, and keeps what was sent."""

    def __init__(self) -> None:
        self.answers: list[Response] = []
        self.received: list[tuple[str, bytes]] = []
        self.app = FastAPI()
        self.app.api_route("/{path:path}", methods=["GET", "POST"])(self.answer)

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        self.received.append((request.headers.get("idempotency-key", ""), body))
        return self.answers.pop(0)

    def refuse(self, status: int, code: str, retry_after: str | None = None) -> None:
        headers = {"Retry-After": retry_after} if retry_after else {}
        body = json.dumps({**PROBLEM, "status": status, "code": code})
        self.answers.append(Response(body, status, headers, "application/problem+json"))

    def accept(self) -> None:
        self.answers.append(Response('{"id": "m", "revision": "1"}', 200))


@pytest.fixture(scope="module")
def refusing_app() -> Iterator[tuple[Refusing, str]]:
    service = Refusing()
    with running_server(service.app) as address:
        yield service, address


@pytest.fixture
def refusing(refusing_app: tuple[Refusing, str]) -> Iterator[tuple[Refusing, Kinolex]]:
    """The service without memory of other tests, and a client of it."""
    service, address = refusing_app
    service.answers.clear()
    service.received.clear()
    with Kinolex(address, retries=Retries(max_retries=2, max_wait_seconds=5)) as kinolex:
        yield service, kinolex


@pytest.mark.parametrize(
    ("status", "code"), [(503, "overloaded"), (503, "not_ready"), (429, "quota_exceeded")]
)
def test_a_refusal_that_passes_is_waited_for(
    status: int, code: str, refusing: tuple[Refusing, Kinolex]
) -> None:
    service, kinolex = refusing
    service.refuse(status, code, "1")
    service.accept()

    assert kinolex.model().id == "m"
    assert len(service.received) == 2


def test_after_the_last_attempt_the_refusal_is_raised(refusing: tuple[Refusing, Kinolex]) -> None:
    service, kinolex = refusing
    for _ in range(3):
        service.refuse(503, "overloaded")

    with pytest.raises(problems.Overloaded):
        kinolex.model()
    assert len(service.received) == 3


def test_a_wait_over_the_limit_is_left_to_the_caller(refusing: tuple[Refusing, Kinolex]) -> None:
    service, kinolex = refusing
    service.refuse(429, "quota_exceeded", "86000")

    with pytest.raises(problems.QuotaExceeded) as caught:
        kinolex.model()
    assert caught.value.retry_after == 86_000
    assert len(service.received) == 1


def test_work_that_was_done_is_not_asked_for_again(refusing: tuple[Refusing, Kinolex]) -> None:
    service, kinolex = refusing
    service.refuse(503, "deadline_exceeded", "1")

    with pytest.raises(problems.DeadlineExceeded):
        kinolex.classify(b"video")
    assert len(service.received) == 1


def test_a_video_is_sent_again_from_its_start_with_the_same_key(
    refusing: tuple[Refusing, Kinolex],
) -> None:
    service, kinolex = refusing
    service.refuse(503, "overloaded", "1")
    service.refuse(422, "corrupt")

    with pytest.raises(problems.Corrupt):
        kinolex.create_job(b"video" * 100_000)
    (first_key, first), (second_key, second) = service.received
    assert first == second == b"video" * 100_000
    assert first_key == second_key != ""


def test_an_answer_of_another_service_is_named_as_such(
    refusing: tuple[Refusing, Kinolex],
) -> None:
    service, kinolex = refusing
    service.answers += [Response("<html>", 200), Response('{"a": 1}', 200), Response("no", 502)]

    for _ in range(3):
        with pytest.raises(UnexpectedAnswer):
            kinolex.model()


def test_a_service_that_is_not_there_is_tried_again_then_reported() -> None:
    retries = Retries(max_retries=1, max_wait_seconds=0.01)
    with (
        Kinolex(f"http://127.0.0.1:{free_port()}", retries=retries) as kinolex,
        pytest.raises(ConnectionFailed, match="no connection"),
    ):
        kinolex.model()
