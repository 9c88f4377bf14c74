"""`min_revision`: an answer is at least as new as the client's own write, or an error."""

import threading
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.servers import open_client

RED = clip_bytes(seconds_colours=["red"])


def ask(client: TestClient, **options: object) -> tuple[int, dict[str, object]]:
    answer = client.post(
        "/classify",
        content=RED,
        params={name: str(value) for name, value in options.items()},
        headers={"Content-Type": "video/mp4"},
    )
    return answer.status_code, answer.json()


def test_a_write_of_another_worker_is_waited_for(make_settings: Callable[..., Settings]) -> None:
    with open_client(make_settings()) as client, open_client(make_settings()) as other:
        seen = client.get("/labels").json()["label_set"]["revision"]
        write = threading.Timer(0.5, other.put, ["/labels"], {"json": {"labels": ["juggling"]}})
        write.start()

        status, answer = ask(client, min_revision=seen + 1)

        write.join()
        assert status == 200
        assert answer["label_set"] == {"name": "default", "revision": seen + 1}


def test_a_revision_that_does_not_come_is_a_conflict_within_the_callers_time(
    client: TestClient,
) -> None:
    # half of the time is left for the answer: at the deadline it would be `deadline_exceeded`
    status, answer = ask(client, min_revision=1_000, timeout_seconds=8)

    assert (status, answer["code"]) == (409, "revision_not_reached")


@pytest.mark.parametrize("options", [{"min_revision": -1}, {"min_revision": 1, "labels": "red"}])
def test_a_revision_that_cannot_be_is_refused(
    client: TestClient, options: dict[str, object]
) -> None:
    status, answer = ask(client, **options)

    assert (status, answer["code"]) == (422, "invalid_parameter")
