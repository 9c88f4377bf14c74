"""The steps of a stop, as requests see them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from app.lifecycle.drain import Drain
from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.fakes import PatientEncoder, colour_tagger
from tests.support.servers import open_client

RED = clip_bytes(seconds_colours=["red", "red"])


@pytest.fixture
def encoder() -> PatientEncoder:
    return PatientEncoder()


@pytest.fixture
def client(make_settings: Callable[..., Settings], encoder: PatientEncoder) -> Iterator[TestClient]:
    encoder.sign.set()
    with open_client(make_settings(), tagger=colour_tagger(encoder=encoder)) as client:
        while client.get("/readyz").status_code != 200:
            pass
        yield client
        encoder.sign.set()


def step(client: TestClient, name: str) -> None:
    """Do a step of the stop in the event loop of the app."""
    drain = client.app_state["drain"]
    assert isinstance(drain, Drain)
    assert client.portal is not None
    client.portal.call(getattr(drain, name))


def code_of(client: TestClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 503
    code: str = answer.json()["code"]
    return code


def test_a_service_that_begins_to_stop_is_not_ready_but_answers(client: TestClient) -> None:
    step(client, "begin")

    assert code_of(client, "/readyz") == "shutting_down"
    answer = client.post("/classify", files={"file": RED})
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"
    assert client.get("/healthz").status_code == 200


def test_a_closed_service_refuses_new_requests_and_finishes_the_others(
    client: TestClient, encoder: PatientEncoder
) -> None:
    encoder.sign.clear()
    with ThreadPoolExecutor(1) as thread:
        accepted = thread.submit(client.post, "/classify", files={"file": RED})
        drain = client.app_state["drain"]
        while not drain.requests:
            pass
        step(client, "close")

        assert code_of(client, "/labels") == "shutting_down"
        assert client.get("/labels").headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200
        encoder.sign.set()
        assert accepted.result().status_code == 200
    assert not drain.requests


def test_at_the_end_of_the_stop_work_ends_with_a_problem(
    client: TestClient, encoder: PatientEncoder
) -> None:
    encoder.sign.clear()
    with ThreadPoolExecutor(1) as thread:
        accepted = thread.submit(client.post, "/classify", files={"file": RED})
        while not client.app_state["drain"].requests:
            pass
        step(client, "end")

        answer = accepted.result()
    assert answer.status_code == 503
    assert answer.json()["code"] == "shutting_down"
