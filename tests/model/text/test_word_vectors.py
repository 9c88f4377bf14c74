"""Word vectors as a text encoder; a word without a vector raises an error that names it."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from app.store import LabelStore
from model import Label, LabelError
from model.errors import CheckpointError
from model.text.source import carry_text_model, load_text_encoder
from model.text.word_vectors import WordVectorEncoder
from tests.support.clips import write_clip
from tests.support.fakes import colour_tagger
from tests.support.servers import open_client
from tests.support.word_vectors import WordSource

VECTORS = """\
red 2 0 0
green 0 0.5 0
blue 0 0 3
Korean 0 1 1
ice 1 1 0
t-shirt 0 1 0
nothing 0 0 0
against -1 0 0
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text(VECTORS)
    return path


@pytest.fixture
def words(file: Path) -> WordVectorEncoder:
    return WordVectorEncoder(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red", (1, 0, 0)),
        # a word's vector counts with unit length
        ("red green", (0.5**0.5, 0.5**0.5, 0)),
        ("Red, GREEN!", (0.5**0.5, 0.5**0.5, 0)),
        ("using the red in a green", (0.5**0.5, 0.5**0.5, 0)),
        ("red/green", (0.5**0.5, 0.5**0.5, 0)),
        ("red_green", (0.5**0.5, 0.5**0.5, 0)),
        ("red-and-green", (0.5**0.5, 0.5**0.5, 0)),
        ("t-shirt", (0, 1, 0)),
        ("Korean", (0, 0.5**0.5, 0.5**0.5)),
    ],
)
def test_a_text_is_the_mean_of_its_words(
    words: WordVectorEncoder, text: str, expected: tuple[float, float, float]
) -> None:
    np.testing.assert_allclose(words.encode([text]), [expected], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("red zorbing", "none for 'zorbing' in 'red zorbing'"),
        ("zorbing quokka red", "none for 'zorbing', 'quokka' in"),
        ("red-zorbing", "none for 'red-zorbing'"),
        ("nothing", "none for 'nothing'"),
        ("PADDING_TOKEN", "none for 'PADDING_TOKEN'"),
        ("the", "none for 'the'"),
        ("red against", "'red against' no direction"),
        ("...", "'...' no direction"),
        ("", "'' no direction"),
    ],
)
def test_a_text_without_a_vector_is_refused_with_its_words(
    words: WordVectorEncoder, text: str, said: str
) -> None:
    with pytest.raises(LabelError, match=said):
        words.encode(["blue", text])


def test_unknown_words_are_listed(words: WordVectorEncoder) -> None:
    assert words.unknown_words("a Red zorbing, the quokka") == ("zorbing", "quokka")


def test_a_word2vec_header_and_gzip_are_supported(tmp_path: Path, words: WordVectorEncoder) -> None:
    (tmp_path / "w2v.vec").write_text("8 3\n" + VECTORS)
    with gzip.open(tmp_path / "glove.txt.gz", "wt") as file:
        file.write(VECTORS)
    for name in ("w2v.vec", "glove.txt.gz"):
        found = WordVectorEncoder(tmp_path / name)
        assert found.dim == 3
        assert found.model_hash == words.model_hash


def test_word_vectors_in_a_checkpoint_have_the_same_space(
    tmp_path: Path, file: Path, words: WordVectorEncoder
) -> None:
    assert carry_text_model(str(file), words, tmp_path / "out") == "./text"
    carried = load_text_encoder("./text", checkpoint=tmp_path / "out")
    assert isinstance(carried, WordVectorEncoder)
    assert carried.model_hash == words.model_hash
    np.testing.assert_array_equal(carried.encode(["red ice"]), words.encode(["red ice"]))
    kinds = {path.suffix for path in (tmp_path / "out" / "text").iterdir()}
    assert kinds == {".json", ".safetensors"}


def test_other_words_with_the_same_vectors_are_another_space(
    tmp_path: Path, words: WordVectorEncoder
) -> None:
    (tmp_path / "other.txt").write_text(VECTORS.replace("green", "mauve"))
    assert WordVectorEncoder(tmp_path / "other.txt").model_hash != words.model_hash


@pytest.mark.parametrize(
    "content",
    ["", "red one two three\n", "red 1 nan 0\n", "\ud800".encode("utf-8", "surrogatepass")],
)
def test_a_file_without_word_vectors_is_refused(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CheckpointError, match=r"holds no word vectors|no numbers"):
        load_text_encoder(str(path))


def test_pickled_word_vectors_are_not_loaded(tmp_path: Path, words: WordVectorEncoder) -> None:
    words.save(tmp_path / "saved")
    (tmp_path / "saved" / "model.safetensors").rename(tmp_path / "saved" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="is missing"):
        load_text_encoder(str(tmp_path / "saved"))


@pytest.fixture
def client(
    words: WordVectorEncoder, make_settings: Callable[..., Settings]
) -> Iterator[TestClient]:
    with open_client(make_settings(), tagger=replace(colour_tagger(), text=words)) as client:
        yield client


def test_a_new_installation_starts_with_the_labels_that_have_vectors(client: TestClient) -> None:
    assert client.get("/labels").json()["items"] == []


def test_a_label_with_an_unknown_word_is_refused_with_the_word(client: TestClient) -> None:
    refused = client.put("/labels", json={"labels": ["red", "blue zorbing"]})
    assert refused.status_code == 422
    assert refused.json()["code"] == "invalid_label"
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["#/labels/1/name"]
    assert "'zorbing'" in refused.json()["detail"]
    assert client.get("/labels/red").status_code == 404
    assert client.put("/labels", json={"labels": ["red", "blue"]}).status_code == 200


def test_every_text_with_an_unknown_word_is_pointed_at(client: TestClient) -> None:
    labels = [
        {"name": "red", "prompts": ["green", "a zorbing"], "aliases": ["luge"]},
        "blue",
        {"name": "green", "description": "like skeleton"},
    ]
    put = client.put("/labels", json={"labels": labels})
    whole = client.put("/label-sets/x", json={"labels": labels}, headers={"If-None-Match": "*"})
    for refused in (put, whole):
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_label")
        assert [fault["pointer"] for fault in refused.json()["errors"]] == [
            "#/labels/0/prompts/1",
            "#/labels/0/aliases/0",
            "#/labels/2/description",
        ]


def test_unknown_words_of_all_batches_are_pointed_at_in_the_order_of_the_request(
    client: TestClient,
) -> None:
    labels = [" ".join(colours) for colours in product(("red", "green", "blue"), repeat=6)]
    labels[3] = "red green blue red green blue red quokka"
    labels[700] = "luge"
    refused = client.put("/labels", json={"labels": labels})
    assert [(fault["pointer"], fault["detail"]) for fault in refused.json()["errors"]] == [
        ("#/labels/3/name", "no vector for 'quokka'"),
        ("#/labels/700/name", "no vector for 'luge'"),
    ]


def test_an_ad_hoc_label_with_an_unknown_word_is_refused_with_the_word(
    client: TestClient, tmp_path: Path
) -> None:
    write_clip(tmp_path / "red.mp4", seconds_colours=["red"])
    for labels, status in ((["red", "zorbing"], 422), (["red", "blue"], 200)):
        with (tmp_path / "red.mp4").open("rb") as file:
            answer = client.post("/classify", files={"file": file}, data={"labels": labels})
        assert answer.status_code == status, answer.text
    assert answer.json()["tags"][0]["label"] == "red"
    with (tmp_path / "red.mp4").open("rb") as file:
        refused = client.post("/classify", files={"file": file}, data={"labels": "zorbing"})
    assert "'zorbing'" in refused.json()["detail"]


def test_embedding_a_text_with_an_unknown_word_names_the_word(client: TestClient) -> None:
    refused = client.post("/embed", json={"text": "zorbing"})
    assert refused.status_code == 422
    assert "'zorbing'" in refused.json()["detail"]
    assert client.post("/embed", json={"text": "red"}).status_code == 200


def test_labels_stored_for_another_text_model_are_refused_with_the_word(
    words: WordVectorEncoder, tmp_path: Path
) -> None:
    """Too many labels to embed in a request: the background thread finds the word."""
    url = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    many = [" ".join(colours) for colours in product(("red", "green", "blue"), repeat=7)]
    LabelStore.open(url, WordSource(), first_labels=["zorbing", *many]).close()

    store = LabelStore.open(url, replace(colour_tagger(), text=words))
    try:
        store.wait_until_embedded()
        with pytest.raises(LabelError, match="'zorbing'"):
            store.snapshot("default")
        # the snapshot started the thread again, which finds the word again
        store.wait_until_embedded()
        store.remove("default", "zorbing")
        with pytest.raises(LabelError):
            store.snapshot("default")
        store.wait_until_embedded()
        assert len(store.snapshot("default").index) == len(many)
    finally:
        store.close()


def test_a_label_is_searched_in_the_space_of_its_words(words: WordVectorEncoder) -> None:
    tagger = replace(colour_tagger(), text=words)
    index = tagger.index([Label("red"), Label("green"), Label("blue ice")])
    [[hit]] = index.search(np.array([[0, 1, 0]], np.float32), 1)
    assert hit.name == "green"
