"""The default labels' vectors are in the package: the text model's own, and only in its place."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from app.labels.default_vectors import (
    DEFAULT_VECTORS,
    with_default_vectors,
    write_default_vectors,
)
from app.store import everyday_actions
from model import KnowsWords, Label, Tagger, load_checkpoint
from tests.support.fakes import ColourText, colour_tagger

DEFAULT_LABELS = [Label(name) for name in everyday_actions()]


class OtherText(ColourText):
    model_hash = "other"


class Silent:
    """A text model that encodes nothing."""

    def __init__(self, tagger: Tagger) -> None:
        self.dim, self.model_hash = tagger.text.dim, tagger.text.model_hash

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        raise AssertionError(f"{texts} have to be encoded: run `make default-vectors`")


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return load_checkpoint()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.safetensors"
    write_default_vectors(colour_tagger(), path)
    return path


def test_a_first_start_does_not_run_the_text_model(tagger: Tagger) -> None:
    silent = with_default_vectors(replace(tagger, text=Silent(tagger)))

    assert len(silent.prototypes(DEFAULT_LABELS)) == len(DEFAULT_LABELS)
    assert silent.text_space == tagger.text_space


@pytest.mark.slow
def test_the_vectors_are_those_of_the_text_model_and_videos_get_the_same_tags(
    tagger: Tagger,
) -> None:
    kept = with_default_vectors(tagger)

    for own, shipped in zip(
        tagger.prototypes(DEFAULT_LABELS), kept.prototypes(DEFAULT_LABELS), strict=True
    ):
        np.testing.assert_allclose(shipped.vectors, own.vectors, atol=1e-5)
    indexes = [each.index(DEFAULT_LABELS) for each in (tagger, kept)]
    for video in tagger.typical_videos:
        (tags, unknown), (kept_tags, kept_unknown) = (
            tagger.tag_embedding(video, index) for index in indexes
        )
        assert [tag.label for tag in kept_tags] == [tag.label for tag in tags]
        for tag, kept_tag in zip(tags, kept_tags, strict=True):
            assert kept_tag.score == pytest.approx(tag.score, abs=1e-4)
        assert kept_unknown.is_unknown == unknown.is_unknown


def test_other_texts_are_encoded_in_their_place(file: Path) -> None:
    text = ColourText()
    kept = with_default_vectors(colour_tagger(text=text), file).text

    name = everyday_actions()[0]
    vectors = kept.encode(["red", name, "blue"])

    assert text.encoded == ["red", "blue"]
    np.testing.assert_array_equal(vectors, ColourText().encode(["red", name, "blue"]))
    assert kept.encode([]).shape == (0, 3)


def test_words_are_known_as_the_text_model_knows_them(tagger: Tagger, file: Path) -> None:
    kept = with_default_vectors(tagger).text

    assert isinstance(kept, KnowsWords)
    assert kept.unknown_words("riding a xqzvw") == ("xqzvw",)
    colours = with_default_vectors(colour_tagger(), file).text
    assert isinstance(colours, KnowsWords)
    assert colours.unknown_words("xqzvw") == ()


def test_another_text_model_is_asked_itself(file: Path) -> None:
    other = colour_tagger(text=OtherText())

    assert with_default_vectors(other, file) is other
    assert with_default_vectors(other, DEFAULT_VECTORS) is other


@pytest.mark.parametrize("kept_bytes", [0, 100, 1_000])
def test_a_damaged_or_missing_file_is_not_used(file: Path, kept_bytes: int) -> None:
    tagger = colour_tagger()
    file.write_bytes(file.read_bytes()[:kept_bytes])

    assert with_default_vectors(tagger, file) is tagger
    assert with_default_vectors(tagger, file.with_name("missing")) is tagger
