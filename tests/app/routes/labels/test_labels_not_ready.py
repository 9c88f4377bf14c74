"""A checkpoint with another text space: errors say how many labels are embedded for it."""

import threading
import time
from collections.abc import Callable

from app.settings import Settings
from app.store import LabelStore
from app.store.reembedding import BATCH
from tests.app.routes.test_deadline import PatientText, soon_set
from tests.support.clips import clip_bytes
from tests.support.fakes import colour_tagger
from tests.support.servers import open_client
from tests.support.word_vectors import WordSource

RED = clip_bytes(seconds_colours=["red"])
# a batch is embedded, the next one waits; the rest is too much to embed in one request
EARLY = ["red", *(f"label {number}" for number in range(BATCH - 1))]
LATE = [f"late {number}" for number in range(1_100)]


def test_the_error_says_how_many_labels_are_embedded_until_all_are(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    LabelStore.open(settings.store_url, WordSource(salt="old"), first_labels=EARLY + LATE).close()
    text = PatientText()

    with open_client(settings, tagger=colour_tagger(text=text)) as client, soon_set(text.sign):

        def ask_until(expected: str) -> None:
            seen = ""
            end = time.monotonic() + 20
            while seen != expected:
                assert time.monotonic() < end, seen
                answer = client.post(
                    "/classify", content=RED, headers={"Content-Type": "video/mp4"}
                )
                if answer.status_code == 200:
                    seen = answer.json()["tags"][0]["label"]
                    continue
                assert (answer.status_code, answer.json()["code"]) == (503, "labels_not_ready")
                assert int(answer.headers["retry-after"]) >= 1
                seen = answer.json()["detail"]
                threading.Event().wait(0.05)

        ask_until(f"{BATCH} of {BATCH + 1_100:,} labels are embedded for this checkpoint")
        text.sign.set()
        ask_until("red")
