"""Text banks: vectors of labels and captions that a run is trained towards."""

from pathlib import Path

import numpy as np
import pytest

from model.text.text_encoder import normalise
from model.training.data.manifest import Sample
from model.training.data.tables import TableError
from model.training.words.text_bank import build_bank, embed_labels, read_descriptions
from tests.support.word_vectors import WordVectors

TEXT = WordVectors(16)
ZERO = np.zeros(16, np.float32)


def sample(label: str, *captions: str) -> Sample:
    return Sample(Path("a.png"), "", label, captions, "d", "train")


def test_templates_and_descriptions_are_averaged_into_a_labels_vector() -> None:
    described = {"judo": ("two people wrestle in white", "a throw on mats")}

    (vector,) = embed_labels(["judo"], TEXT, ("{}", "a person {}"), ZERO, described)

    texts = ["judo", "a person judo"]
    texts += ["judo: two people wrestle in white", "judo: a throw on mats"]
    expected = normalise(TEXT.encode(texts).sum(axis=0, keepdims=True))[0]
    np.testing.assert_allclose(vector, expected, atol=1e-6)
    (plain,) = embed_labels(["judo"], TEXT, ("{}",), ZERO, {"luge": ("a sled",)})
    np.testing.assert_allclose(plain, TEXT.encode(["judo"])[0], atol=1e-6)


def test_descriptions_come_from_a_table_several_for_a_label(tmp_path: Path) -> None:
    path = tmp_path / "descriptions.csv"
    path.write_text("label,description\njudo,a throw\nluge,a sled on ice\njudo,a hold\n")

    assert read_descriptions(str(path)) == {
        "judo": ("a throw", "a hold"),
        "luge": ("a sled on ice",),
    }
    assert read_descriptions("") == {}


@pytest.mark.parametrize("rows", ["judo,\n", ",a throw\n", "judo\n"])
def test_a_row_without_label_or_description_is_named(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "descriptions.csv"
    path.write_text("label,description\n" + rows)

    with pytest.raises(ValueError, match="line 2: needs a label and a description"):
        read_descriptions(str(path))


def test_a_missing_table_of_descriptions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        read_descriptions(str(tmp_path / "nowhere.csv"))


def test_label_vectors_are_centred_by_default(tmp_path: Path) -> None:
    samples = [sample("judo"), sample("luge"), sample("", "a dog", "a cat")]

    centred, rows = build_bank(samples, TEXT, ("{}",), tmp_path)
    plain, _ = build_bank(samples, TEXT, ("{}",), tmp_path, centred=False)

    assert centred.texts == ("judo", "luge", "a cat", "a dog")
    assert rows == [[0], [1], [3, 2]]
    np.testing.assert_allclose(plain.mean, ZERO)
    np.testing.assert_allclose(centred.mean, TEXT.encode(["judo", "luge"]).mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(plain.vectors[0].numpy(), TEXT.encode(["judo"])[0], atol=1e-6)
    np.testing.assert_allclose(
        centred.vectors[2].numpy(), normalise(TEXT.encode(["a cat"]) - centred.mean)[0], atol=1e-6
    )


def test_captions_are_embedded_once_and_kept(tmp_path: Path) -> None:
    samples = [sample("judo"), sample("", "a dog")]
    build_bank(samples, TEXT, ("{}",), tmp_path)
    (kept,) = tmp_path.glob("captions-*")
    np.save(kept, np.ones((1, 16), np.float32))

    bank, _ = build_bank(samples, TEXT, ("{}",), tmp_path, centred=False)

    np.testing.assert_allclose(bank.vectors[1].numpy(), np.full(16, 0.25), atol=1e-6)
