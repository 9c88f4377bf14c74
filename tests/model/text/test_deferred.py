"""A text model that is loaded at its first use."""

from pathlib import Path

import numpy as np
import pytest

from model import CheckpointError, KnowsWords, load_checkpoint
from model.text.deferred import DeferredTextEncoder
from tests.model.test_checkpoint import save
from tests.support.fakes import ColourText


def deferred(
    loaded: list[str], *, dim: int = 3, model_hash: str = "colours"
) -> DeferredTextEncoder:
    def load() -> ColourText:
        loaded.append("colours")
        return ColourText()

    return DeferredTextEncoder(load, "colours", dim, model_hash)


def test_the_model_is_loaded_once_when_a_text_is_encoded() -> None:
    loaded: list[str] = []
    text = deferred(loaded)

    assert (text.dim, text.model_hash) == (3, "colours")
    assert not loaded
    for _ in range(2):
        np.testing.assert_array_equal(text.encode(["red"]), [[1, 0, 0]])
    assert loaded == ["colours"]


def test_a_model_that_cannot_tell_what_it_knows_reports_no_unknown_words() -> None:
    text = deferred([])

    assert isinstance(text, KnowsWords)
    assert text.unknown_words("xyzzy") == ()


@pytest.mark.parametrize(
    ("dim", "model_hash", "message"),
    [(4, "colours", "have length 3"), (3, "shapes", "has sha256 colours")],
)
def test_a_model_that_is_not_the_stated_one_is_refused_at_its_first_use(
    dim: int, model_hash: str, message: str
) -> None:
    text = deferred([], dim=dim, model_hash=model_hash)

    with pytest.raises(CheckpointError, match=message):
        text.encode(["red"])


def test_a_checkpoint_is_loaded_without_its_text_model(tmp_path: Path) -> None:
    directory = save(tmp_path / "checkpoint")

    tagger = load_checkpoint(directory, defer_text=True)

    assert tagger.text.dim == 8
    with pytest.raises(CheckpointError, match="somewhere/words"):
        tagger.text.encode(["juggling"])
