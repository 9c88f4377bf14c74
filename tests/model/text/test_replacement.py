"""A text model replaces a checkpoint's only if it has the same text space."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from app.settings import Settings
from app.store import DEFAULT_SET, LabelStore, NewLabel
from model import CheckpointError, Label, Tagger, load_checkpoint
from model.checkpoint import TextConfig
from model.text.replacement import _PROBES
from tests.model.test_checkpoint import CONFIG, DIM, save
from tests.support.clips import clip_bytes
from tests.support.servers import open_client

WORDS = sorted({word for probe in _PROBES for word in probe.split()} | {"riding", "juggling"})
# what a distilled model learns: the same vectors for words of another language
SPANISH = {"caballo": "horse", "pan": "bread", "nieve": "snow"}


def tiny_model(folder: Path, *, seed: int, dim: int = DIM, foreign: bool = False) -> Path:
    """A real sentence-transformers model: a sentence is the mean of its words' vectors."""
    vectors = dict(
        zip(WORDS, np.random.default_rng(seed).standard_normal((len(WORDS), dim)), strict=True)
    )
    if foreign:
        vectors |= {word: vectors[english] for word, english in SPANISH.items()}
    tokenizer = Tokenizer(
        WordLevel({word: row for row, word in enumerate([*vectors, "[UNK]"])}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = Whitespace()
    rows = np.array([*vectors.values(), np.zeros(dim)], np.float32)
    SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=rows)], device="cpu"
    ).save(str(folder), create_model_card=False)
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    own = tiny_model(tmp_path / "own", seed=0)
    return save(
        tmp_path / "checkpoint",
        replace(CONFIG, text=TextConfig(str(own))),
    )


def vector(tagger: Tagger, name: str) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = tagger.prototypes([Label(name)])[0].vectors[0]
    return found


def test_a_distilled_model_adds_its_languages(checkpoint: Path, tmp_path: Path) -> None:
    student = tiny_model(tmp_path / "student", seed=0, foreign=True)

    plain = load_checkpoint(checkpoint)
    multilingual = load_checkpoint(checkpoint, text_model=str(student))

    np.testing.assert_allclose(vector(multilingual, "caballo"), vector(plain, "horse"), atol=1e-5)
    assert abs(float(vector(plain, "caballo") @ vector(plain, "horse"))) < 0.9
    assert multilingual.text_space != plain.text_space
    assert multilingual.video_space == plain.video_space


def test_stored_labels_are_embedded_again_for_another_model(
    checkpoint: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    plain = load_checkpoint(checkpoint)
    LabelStore.open(url, plain, first_labels=["caballo", "pan"]).close()
    student = tiny_model(tmp_path / "student", seed=0, foreign=True)

    store = LabelStore.open(url, load_checkpoint(checkpoint, text_model=str(student)))

    store.upsert(DEFAULT_SET, [NewLabel(Label("nieve"))])
    for spanish, english in SPANISH.items():
        [hits] = store.snapshot(DEFAULT_SET).index.search(vector(plain, english)[None], 3)
        nearest = max(hits, key=lambda hit: hit.similarity)
        assert nearest.name == spanish
        assert nearest.similarity == pytest.approx(1, abs=1e-4)
    store.close()


@pytest.mark.parametrize("is_swapped", [True, False])
def test_one_variable_changes_the_services_text_model(
    make_settings: Callable[..., Settings],
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_swapped: bool,
) -> None:
    student = tiny_model(tmp_path / "student", seed=0, foreign=True)
    if is_swapped:
        monkeypatch.setenv("KINOLEX_TEXT_MODEL", str(student))
    settings = make_settings(checkpoint=str(checkpoint), device="cpu", runtime="eager")

    with open_client(settings, tagger=None) as client:
        client.put("/labels", json={"labels": ["caballo", "horse"]}).raise_for_status()
        answer = client.post(
            "/classify", files={"file": clip_bytes()}, data={"top_k": "100000"}
        ).json()
        embedded = client.post("/embed", json={"text": "caballo"}).json()

    found = {tag["label"]: tag["similarity"] for tag in answer["tags"]}
    of_horse = vector(load_checkpoint(checkpoint), "horse")
    is_same = [
        found["caballo"] == pytest.approx(found["horse"], abs=1e-4),
        embedded["embeddings"][0] == pytest.approx(of_horse.tolist(), abs=1e-4),
    ]
    assert is_same == [is_swapped, is_swapped]


def test_a_model_of_another_space_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    stranger = tiny_model(tmp_path / "stranger", seed=1)
    longer = tiny_model(tmp_path / "longer", seed=0, dim=DIM + 1)

    with pytest.raises(CheckpointError, match="another space"):
        load_checkpoint(checkpoint, text_model=str(stranger))
    with pytest.raises(CheckpointError, match="length 9"):
        load_checkpoint(checkpoint, text_model=str(longer))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_checkpoint(checkpoint, text_model=str(tmp_path / "nothing"))
