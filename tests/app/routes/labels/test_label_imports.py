"""Large imports over HTTP: a hundred thousand labels in one request, read as they come."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from app.settings import Settings
from app.store import DEFAULT_SET, LabelStore
from model import Label, Prototypes
from tests.support.label_service import label_client
from tests.support.servers import open_client
from tests.support.word_vectors import WordSource

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv; charset=utf-8"}


class QuickSource(WordSource):
    """Every label gets the same vector: what is counted here is rows."""

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        vector, background = np.eye(1, 16, dtype=np.float32), np.ones((1, 2), np.float32)
        return [Prototypes((label.name,), vector, background) for label in labels]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    url = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    store = LabelStore.open(url, QuickSource(), first_labels=["juggling"])
    yield store
    store.close()


def lines(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield json.dumps({"name": f"n{number}", "metadata": {"row": number}}).encode() + b"\n"


@pytest.mark.slow
def test_a_hundred_thousand_labels_come_and_go_in_one_request(store: LabelStore) -> None:
    with label_client(store) as client:
        put = client.put("/labels", content=lines(100_000), headers=NDJSON)
        with client.stream("GET", "/labels", params={"format": "ndjson"}) as export:
            count = sum(1 for _ in export.iter_lines())
        one_more = client.put("/labels", content=lines(100_001), headers=NDJSON)

    assert put.status_code == 200, put.text
    assert put.json()["created"] == 100_000
    assert [warned["code"] for warned in put.json()["warnings"]] == ["not_advised", "many_labels"]
    assert count == store.state(DEFAULT_SET).size == 100_001
    assert one_more.status_code == 422
    assert one_more.json()["errors"][0]["pointer"] == "#/labels"


def test_a_spreadsheet_of_ten_thousand_labels_comes_and_goes_too(store: LabelStore) -> None:
    rows = (b'"n, %d",0.5\r\n' % number for number in range(10_000))

    with label_client(store) as client:
        put = client.put("/labels", content=chain([b"name,threshold\r\n"], rows), headers=CSV)
        with client.stream("GET", "/labels", params={"format": "csv"}) as export:
            count = sum(1 for _ in csv.DictReader(export.iter_lines()))

    assert put.status_code == 200, put.text
    assert put.json()["created"] == 10_000
    assert count == store.state(DEFAULT_SET).size == 10_001
    assert store.get(DEFAULT_SET, "N, 9999")[1].new.label.threshold == 0.5


@pytest.mark.parametrize(("headers", "first"), [(NDJSON, b""), (CSV, b"name\n")])
def test_lines_have_a_limit_of_their_own(
    make_settings: Callable[..., Settings], headers: dict[str, str], first: bytes
) -> None:
    settings = make_settings(max_json_bytes=1024, max_import_bytes=8192, upload_memory_bytes=0)
    with open_client(settings) as client:
        rows = [b'"n%d"\n' % number for number in range(400)]
        fits = client.put("/labels", content=first + b"".join(rows), headers=headers)
        over = client.put("/labels", content=iter([first, *rows * 5]), headers=headers)
        as_json = client.put("/labels", json={"labels": ["x" * 100] * 20})

    assert fits.status_code == 200, fits.text
    assert fits.json()["created"] == 400
    assert [each.json()["code"] for each in (over, as_json)] == ["upload_too_large"] * 2


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (NDJSON, b'"fine"\n\n{"name": "x", "threshold": 2}\n'),
        (CSV, b"name,threshold\nfine,\nx,2\n"),
    ],
)
def test_a_wrong_line_stores_nothing_and_has_a_pointer_and_a_line_number(
    store: LabelStore, headers: dict[str, str], body: bytes
) -> None:
    with label_client(store) as client:
        answer = client.put("/labels", content=body, headers=headers)

    [fault] = answer.json()["errors"]
    assert fault["pointer"] == "#/labels/1/threshold"
    assert fault["detail"].startswith("line 3: ")
    assert store.state(DEFAULT_SET).size == 1


def test_an_import_too_large_for_advice_says_so(store: LabelStore) -> None:
    with label_client(store) as client:
        small = client.put("/labels", content=lines(20), headers=NDJSON)
        large = client.put("/labels", content=lines(1_100), headers=NDJSON)

    assert large.json()["created"] == 1_080
    assert {warned["code"] for warned in small.json()["warnings"]} == {"near_duplicate"}
    [warned] = large.json()["warnings"]
    assert (warned["pointer"], warned["code"]) == ("#", "not_advised")
    assert "1,000" in warned["detail"]
