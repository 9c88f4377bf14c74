"""`unknown` of `POST /classify`: whether none of the labels applies, computed by hand."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from model import Calibration, CalibrationConfig
from tests.app.routes.test_classify import RED, ask
from tests.support.clips import COLOURS
from tests.support.fakes import colour_tagger
from tests.support.servers import open_client


def test_a_video_that_no_label_fits_is_unknown(make_settings: Callable[..., Settings]) -> None:
    # the similarity that the best of one label has by chance
    by_chance = math.sqrt(2 * math.log(1 + 1))
    config = CalibrationConfig(
        score_slope=10.0, score_bias=-5.0, unknown_slope=10.0, unknown_bias=7.0
    )
    tagger = replace(colour_tagger(), calibration=Calibration(config))
    with open_client(make_settings(), tagger=tagger) as client:
        known = ask(client, RED, ("labels", "red"))
        unknown = ask(client, RED, ("labels", "blue"))

    for answer, colour, is_unknown in ((known, 0, False), (unknown, 2, True)):
        rgb = np.array(COLOURS["red"], float)
        similarity = rgb[colour] / np.linalg.norm(rgb)
        score = 1 / (1 + math.exp(10 * (similarity - by_chance) + 7))
        assert answer["unknown"]["score"] == pytest.approx(score, abs=0.01)
        assert answer["unknown"]["is_unknown"] is is_unknown


def test_an_empty_set_makes_every_video_unknown(client: TestClient) -> None:
    client.put("/label-sets/empty/labels", json={"labels": ["red"]})
    removed = client.delete("/label-sets/empty/labels/red")
    assert removed.status_code == 200

    answer = ask(client, RED, ("label_set", "empty"))
    assert answer["tags"] == []
    assert answer["unknown"] == {"score": 1.0, "is_unknown": True}
