"""Tags: the words for scores, and `unknown` of a search and of a film."""

import pytest

from model import Calibration, CalibrationConfig, Hit, Tag, Unknown, likelihood
from model.index.threshold_search import ScoredHits
from model.segment_tagging import unknown_in_all
from model.tags import unknown_of


@pytest.mark.parametrize(
    ("score", "word"),
    [
        *((1.0, "likely"), (0.6, "likely"), (0.599, "possible")),
        *((0.3, "possible"), (0.299, "unsure"), (0.0, "unsure")),
    ],
)
def test_a_score_has_a_word(score: float, word: str) -> None:
    assert likelihood(score) == word
    assert Tag("juggling", score, 0.2, 1, "juggling").likelihood == word


@pytest.mark.parametrize("none", [1.0, float("nan")], ids=["no labels", "an embedding of NaN"])
def test_without_hits_a_video_is_unknown(none: float) -> None:
    scale = Calibration(CalibrationConfig()).scale([], none)
    assert unknown_of(ScoredHits((), scale)) == Unknown(1.0, True)


def test_a_video_is_unknown_above_the_limit() -> None:
    calibration = Calibration(CalibrationConfig(unknown_limit=0.6))
    hit = Hit("juggling", 0.2, 0.0, "juggling")

    # the label weighs 1
    for none, is_unknown in ((1.4, False), (1.6, True)):
        found = unknown_of(ScoredHits((hit,), calibration.scale([0.0], none)))
        assert found.score == pytest.approx(none / (1 + none))
        assert (found.is_unknown, found.duration_ratio) == (is_unknown, None)


def test_a_film_is_as_unknown_as_its_best_known_window() -> None:
    windows = [Unknown(0.9, True), Unknown(0.2, False), Unknown(0.8, True), Unknown(0.3, False)]
    assert unknown_in_all(windows) == Unknown(0.2, False, 0.5)
    assert unknown_in_all(windows[:1]) == Unknown(0.9, True, 1.0)
