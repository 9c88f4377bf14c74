"""Scores in evaluations are those that the service gives."""

from dataclasses import replace

import numpy as np
import pytest

from model import Calibration, CalibrationConfig, Label
from model.training.measure.served_scores import served_scores
from tests.support.fakes import colour_tagger


def test_first_scores_and_unknown_are_those_of_the_tagger() -> None:
    config = CalibrationConfig(score_slope=2.0, score_bias=-1.0, reference_bias=0.5, rivalry=0.5)
    reference = np.array([[0.0, 0.6, 0.8]], np.float32)
    bank = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
    tagger = replace(colour_tagger(), calibration=Calibration(config, bank, reference))
    names = ["red", "green", "blue"]
    prototypes = tagger.prototypes([Label(name) for name in names])
    videos = np.array([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0]], np.float32)
    standardised = np.stack(
        [
            (videos @ made.vectors[0] - made.background[0, 0]) / made.background[0, 1]
            for made in prototypes
        ],
        axis=1,
    )

    found = served_scores(tagger.calibration, videos, standardised)

    index = tagger.index([Label(name) for name in names])
    for row, video in enumerate(videos):
        tags, unknown = tagger.tag_embedding(video, index)
        assert found.first[row] == pytest.approx(tags[0].score, rel=1e-4)
        assert found.unknown[row] == pytest.approx(unknown.score, rel=1e-4)
