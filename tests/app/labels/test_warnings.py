"""A write succeeds even if the warnings about its labels cannot be computed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.labels.advice import advise
from app.store import LabelStore, NewLabel
from app.store.changes import MAX_EMBEDDED_IN_REQUEST
from model import Label, LabelError, Prototypes
from tests.support.label_service import label_client
from tests.support.word_vectors import GatedSource, WordSource


class PickySource(WordSource):
    """A text space without a vector for zorbing."""

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        if any("zorbing" in label.name for label in labels):
            raise LabelError("no word 'zorbing'")
        return super().prototypes(labels)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'labels.sqlite'}"


@pytest.fixture
def picky_client(url: str) -> Iterator[TestClient]:
    """A client of a set with a label that only the old checkpoint could embed."""
    LabelStore.open(url, WordSource(salt="old"), first_labels=["rowing", "zorbing"]).close()
    store = LabelStore.open(url, PickySource(), complete_vectors=False)
    with label_client(store) as client:
        yield client
    store.close()


def test_a_stored_label_that_cannot_be_embedded_does_not_fail_a_write(
    picky_client: TestClient,
) -> None:
    put = picky_client.put("/labels", json={"labels": ["swimming"]})
    whole = picky_client.put(
        "/label-sets/default", json={"labels": ["diving"]}, headers={"If-Match": "*"}
    )

    assert (put.status_code, put.json()["created"]) == (200, 1)
    [warned] = put.json()["warnings"]
    assert (warned["pointer"], warned["code"]) == ("#", "not_advised")
    assert "zorbing" in warned["detail"]
    # the replacement removed the label that cannot be embedded
    assert (whole.status_code, whole.json()["warnings"]) == (200, [])
    assert picky_client.get("/labels/diving").status_code == 200


def test_a_write_succeeds_while_labels_are_embedded(url: str) -> None:
    names = [f"label {number}" for number in range(MAX_EMBEDDED_IN_REQUEST + 1)]
    LabelStore.open(url, WordSource(salt="old"), first_labels=names).close()
    source = GatedSource()
    store = LabelStore.open(url, source, complete_vectors=False)
    source.gate.set()

    with label_client(store) as client:
        put = client.put("/labels", json={"labels": ["swimming"]})

    assert put.status_code == 200
    assert [warned["code"] for warned in put.json()["warnings"]] == ["not_advised"]
    store.close()


def test_a_set_deleted_right_after_the_write_is_no_failure(url: str) -> None:
    source = WordSource()
    store = LabelStore.open(url, source, first_labels=[])
    labels = [NewLabel(Label("rowing"))]
    written = store.upsert("sports", labels)
    store.delete_set("sports")

    [warned] = advise(store, "sports", labels, written, source.text)

    assert warned.code == "not_advised"
    store.close()
