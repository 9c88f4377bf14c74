"""`unknown` of `POST /classify`: whether none of the labels applies, computed by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.app.routes.test_classify import RED, ask
from tests.support.clips import COLOURS, clip_bytes
from tests.support.fakes import colour_tagger
from tests.support.servers import open_client


def test_a_video_that_no_label_fits_is_unknown(make_settings: Callable[..., Settings]) -> None:
    with open_client(make_settings(), tagger=colour_tagger()) as client:
        known = ask(client, RED, ("labels", "red"))
        unknown = ask(client, RED, ("labels", "blue"))

    for answer, colour, is_unknown in ((known, 0, False), (unknown, 2, True)):
        rgb = np.array(COLOURS["red"], float)
        similarity = rgb[colour] / np.linalg.norm(rgb)
        score = 1 / (1 + math.exp(10 * similarity - 5))
        assert answer["unknown"]["score"] == pytest.approx(score, abs=0.01)
        assert answer["unknown"]["is_unknown"] is is_unknown
        assert answer["unknown"]["duration_ratio"] is None
        assert answer["tags"][0]["score"] + answer["unknown"]["score"] <= 1.0


def test_the_unknown_of_a_film_is_that_of_its_best_window(client: TestClient) -> None:
    film = clip_bytes(seconds_colours=["red"] * 2 + ["blue"] * 6)
    windows = [("granularity", "segments"), ("window_seconds", "2"), ("stride_seconds", "2")]

    answer = ask(client, film, ("labels", "red"), *windows)

    [tag] = answer["tags"]
    assert tag["score"] > 0.9
    assert tag["likelihood"] == "likely"
    assert answer["unknown"]["score"] == pytest.approx(1 - tag["score"])
    assert answer["unknown"]["is_unknown"] is False
    assert answer["unknown"]["duration_ratio"] == 0.75


def test_an_empty_set_makes_every_video_unknown(client: TestClient) -> None:
    client.put("/label-sets/empty/labels", json={"labels": ["red"]})
    removed = client.delete("/label-sets/empty/labels/red")
    assert removed.status_code == 200

    answer = ask(client, RED, ("label_set", "empty"))
    assert answer["tags"] == []
    assert answer["unknown"] == {"score": 1.0, "is_unknown": True, "duration_ratio": None}
