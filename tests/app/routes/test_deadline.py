"""A request is answered at its deadline, also while a thread that cannot be stopped runs."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.fakes import ColourText, PatientEncoder, colour_tagger
from tests.support.servers import open_client

RED = clip_bytes(seconds_colours=["red"])
MP4 = {"Content-Type": "video/mp4"}


class PatientText(ColourText):
    """Knows colours; waits for a signal before it embeds a text with `late`."""

    def __init__(self) -> None:
        super().__init__()
        self.sign = threading.Event()

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if any("late" in text for text in texts):
            self.sign.wait()
        return super().encode(texts)


@contextmanager
def soon_set(sign: threading.Event) -> Iterator[None]:
    """Set at the end, and after some time in any case: a test that waits for it fails."""
    timer = threading.Timer(60.0, sign.set)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        sign.set()


def is_late(client: TestClient, path: str) -> bool:
    answer = client.post(path, content=RED, headers=MP4)
    return (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")


@pytest.mark.parametrize(
    "path", ["/classify?labels=red", "/classify?labels=red&granularity=segments", "/embed?"]
)
def test_a_running_encoder_does_not_hold_up_the_answer(
    path: str, make_settings: Callable[..., Settings]
) -> None:
    encoder = PatientEncoder()
    with (
        open_client(make_settings(), tagger=colour_tagger(encoder=encoder)) as client,
        soon_set(encoder.sign),
    ):
        assert is_late(client, f"{path}&timeout_seconds=0.5")
        assert not encoder.sign.is_set()
        encoder.sign.set()
        assert client.post(path, content=RED, headers=MP4).status_code == 200


def test_the_settings_deadline_is_kept_too(make_settings: Callable[..., Settings]) -> None:
    encoder = PatientEncoder()
    settings = make_settings(request_timeout_seconds=1.0)
    with (
        open_client(settings, tagger=colour_tagger(encoder=encoder)) as client,
        soon_set(encoder.sign),
    ):
        assert is_late(client, "/classify?labels=red")
        assert not encoder.sign.is_set()


def test_labels_that_take_long_to_embed_do_not_hold_up_the_answer(
    make_settings: Callable[..., Settings],
) -> None:
    text = PatientText()
    with (
        open_client(make_settings(), tagger=colour_tagger(text=text)) as client,
        soon_set(text.sign),
    ):
        assert is_late(client, "/classify?labels=late,red&timeout_seconds=0.5")
        assert not text.sign.is_set()
        text.sign.set()
        answer = client.post("/classify?labels=late,red", content=RED, headers=MP4)
        assert answer.json()["tags"][0]["label"] == "red"


@pytest.mark.parametrize(
    ("settings_seconds", "path"), [(60.0, "/embed?timeout_seconds=0.5"), (3.0, "/embed")]
)
def test_a_text_that_takes_long_to_embed_is_answered_at_the_deadline(
    settings_seconds: float, path: str, make_settings: Callable[..., Settings]
) -> None:
    text = PatientText()
    settings = make_settings(request_timeout_seconds=settings_seconds)
    with (
        open_client(settings, tagger=colour_tagger(text=text)) as client,
        soon_set(text.sign),
    ):
        answer = client.post(path, json={"texts": ["red", "late"]})
        assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")
        assert not text.sign.is_set()
        text.sign.set()
        assert client.post("/embed", json={"text": "late"}).status_code == 200


def test_segments_have_a_deadline_for_all_windows_together(
    make_settings: Callable[..., Settings],
) -> None:
    encoder = PatientEncoder()
    settings = make_settings(segments_timeout_seconds=1.0, progress_timeout_seconds=600.0)
    with (
        open_client(settings, tagger=colour_tagger(encoder=encoder)) as client,
        soon_set(encoder.sign),
    ):
        assert is_late(client, "/classify?labels=red&granularity=segments")
        assert not encoder.sign.is_set()
