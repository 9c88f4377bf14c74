"""Alerts over HTTP: a newly kept video that shows the words queues a webhook."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest
from sqlalchemy import insert, select
from starlette.testclient import TestClient

from app.archive.alerts import Alerts
from app.settings import Settings
from app.store.database import open_engine, reading, writing
from app.store.jobs import MAX_ALERTS, AlertStore, queue
from app.store.jobs.tables import ALERTS, WEBHOOKS
from model import LabelError
from tests.support.analyses import analysis_of
from tests.support.clips import clip_bytes
from tests.support.fakes import ColourText, colour_tagger
from tests.support.servers import open_client

RED_BLUE = clip_bytes(seconds_colours=["red"] * 8 + ["blue"] * 8)
GREEN = clip_bytes(seconds_colours=["green"] * 4)
VIDEO = {"Content-Type": "video/mp4"}
# an address that is reserved for documentation: nothing answers there
URL = f"https://{'192.0.2.1'}/hook"


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(callback_secrets=(b"0123456789abcdef01234567",), callback_private=True)


@pytest.fixture
def watching(settings: Settings) -> Iterator[TestClient]:
    with open_client(settings) as client:
        yield client


def watch(client: TestClient, text: str, min_score: float) -> str:
    body = {"q": text, "min_score": min_score, "callback_url": URL}
    answer = client.post("/alerts", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/alerts/{answer.json()['id']}"
    found: str = answer.json()["id"]
    return found


def keep(client: TestClient, clip: bytes) -> None:
    answer = client.post("/classify", content=clip, params={"keep": "true"}, headers=VIDEO)
    assert answer.status_code == 200, answer.text


def test_a_kept_video_raises_the_alerts_whose_words_it_shows(
    watching: TestClient, settings: Settings
) -> None:
    blue, doubtful = watch(watching, "blue", 0.7), watch(watching, "Blue", 0.2)
    watch(watching, "green", 0.7)
    keep(watching, RED_BLUE)
    engine = open_engine(settings.store_url)
    with reading(engine) as connection:
        bodies = connection.execute(select(WEBHOOKS.c.body)).scalars().all()
    queued = [json.loads(body) for body in bodies]
    engine.dispose()

    assert {each["data"]["alert"]["id"] for each in queued} == {blue, doubtful}
    for each in queued:
        assert each["type"] == "alert.matched"
        for span in each["data"]["items"]:
            assert span["score"] >= each["data"]["alert"]["min_score"]
    [sure] = [each for each in queued if each["data"]["alert"]["id"] == blue]
    assert [round(span["end"]) for span in sure["data"]["items"]] == [16]


class TextWithoutSnow(ColourText):
    """Refuses a word, as word vectors do that have none for it."""

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if any("snow" in text for text in texts):
            raise LabelError("the word vectors have none for 'snow'")
        return super().encode(texts)

    def unknown_words(self, text: str, language: str | None = None) -> tuple[str, ...]:
        return ("snow",) if "snow" in text else ()


def test_words_that_another_text_model_took_keep_no_video_from_being_kept(
    settings: Settings,
) -> None:
    with open_client(settings) as client:
        watch(client, "snow", 0.5)
        red = watch(client, "red", 0.7)

    with open_client(settings, tagger=colour_tagger(text=TextWithoutSnow())) as client:
        keep(client, RED_BLUE)

    engine = open_engine(settings.store_url)
    with reading(engine) as connection:
        bodies = connection.execute(select(WEBHOOKS.c.body)).scalars().all()
    engine.dispose()
    assert [json.loads(body)["data"]["alert"]["id"] for body in bodies] == [red]


def test_a_job_that_runs_again_raises_no_alert_anew(
    watching: TestClient, settings: Settings
) -> None:
    watch(watching, "red", 0.7)
    tagger = colour_tagger()
    engine = open_engine(settings.store_url)
    alerts = Alerts(AlertStore(engine), tagger)
    analysis = analysis_of(["red"] * 4)

    def queued_by(cause: str) -> int:
        with writing(engine) as connection:
            queue(connection, alerts.raised_by(analysis, cause))
        with reading(engine) as connection:
            return len(connection.execute(select(WEBHOOKS.c.id)).scalars().all())

    counts = [queued_by(cause) for cause in ("a job", "a job", "another job")]

    engine.dispose()
    assert counts == [1, 1, 2]


def test_alerts_are_listed_read_and_deleted(watching: TestClient) -> None:
    alert = watch(watching, "red", 0.5)

    [listed] = watching.get("/alerts").json()["items"]

    assert listed == watching.get(f"/alerts/{alert}").json()
    assert (listed["q"], listed["min_score"], listed["callback_url"]) == ("red", 0.5, URL)
    assert watching.delete(f"/alerts/{alert}").status_code == 204
    gone = watching.get(f"/alerts/{alert}")
    assert (gone.status_code, gone.json()["code"]) == (404, "alert_not_found")
    assert watching.delete(f"/alerts/{alert}").status_code == 404


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"q": ""}, "#/q"),
        ({"min_score": 0}, "#/min_score"),
        ({"callback_url": "ftp://example.org/"}, "#/callback_url"),
        ({"colour": "red"}, "#/colour"),
    ],
)
def test_a_wrong_alert_is_refused(
    change: dict[str, object], pointer: str, watching: TestClient
) -> None:
    body = {"q": "red", "min_score": 0.5, "callback_url": URL, **change}

    refused = watching.post("/alerts", json=body)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


def test_there_is_a_limit_to_alerts(watching: TestClient, settings: Settings) -> None:
    engine = open_engine(settings.store_url)
    row = {"text": "red", "min_score": 0.5, "callback_url": URL, "created_at": datetime.now(UTC)}
    with writing(engine) as connection:
        connection.execute(insert(ALERTS), [{"id": f"{n:032}", **row} for n in range(MAX_ALERTS)])
    engine.dispose()

    body = {"q": "red", "min_score": 0.5, "callback_url": URL}
    refused = watching.post("/alerts", json=body)

    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_alerts")
