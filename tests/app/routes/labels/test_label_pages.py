"""Reading labels over HTTP page by page, with a filter, and with parameters that are wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.routes.addressing import read_token, write_token
from app.store import DEFAULT_SET, LabelStore
from tests.app.routes.labels.test_labels import names
from tests.support.label_service import label_client, two_labels


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with two_labels(tmp_path) as store:
        yield store


@pytest.fixture
def client(store: LabelStore) -> Iterator[TestClient]:
    with label_client(store) as client:
        yield client


def test_pages_follow_their_tokens_to_the_end(client: TestClient) -> None:
    client.put("/labels", json={"labels": [f"label {number:03}" for number in range(23)]})

    seen: list[str] = []
    token = ""
    while True:
        page = client.get("/labels", params={"page_size": 10, "page_token": token}).json()
        seen += [item["name"] for item in page["items"]]
        token = page["next_page_token"]
        if not token:
            break

    assert seen == ["juggling", *(f"label {number:03}" for number in range(23)), "riding a horse"]


@pytest.mark.parametrize(
    "token", ["nonsense", "bnVsbA", "WyJhIl0", "W10", "ü", "WyJhXHUwMDAwIiwiIl0"]
)
def test_a_token_that_is_not_ours_is_refused(client: TestClient, token: str) -> None:
    answer = client.get("/labels", params={"page_token": token})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


# what labels are written with: joiners, directions, quotes, rare planes, and what JSON escapes
ODD_NAMES = ["aaa", "می\u200cدود", "क्\u200dष", "a\u202eb", 'say "a\\b"', "𓀀" * 200, "ΐ" * 200]


def test_every_label_can_end_a_page(client: TestClient) -> None:
    put = client.put("/label-sets/odd/labels", json={"labels": ODD_NAMES})
    whole = names(client, "/label-sets/odd/labels")

    pages: list[str] = []
    token = ""
    for _ in whole:
        page = client.get(
            "/label-sets/odd/labels", params={"page_size": 1, "page_token": token}
        ).json()
        pages += [item["name"] for item in page["items"]]
        token = page["next_page_token"]

    assert put.json()["created"] == len(ODD_NAMES)
    assert (pages, token) == (whole, "")


@given(
    key=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200),
    query=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=200),
)
def test_a_token_of_any_key_is_read_back_and_is_no_longer_than_allowed(
    key: str, query: str
) -> None:
    token = write_token(key, query)

    assert read_token(token, query) == key
    assert len(token) <= 8_000


@pytest.mark.parametrize("path", ["/labels", "/labels/juggling", "/label-sets"])
@pytest.mark.parametrize("query", ["limit=5", "page_size=1&page_size=2&x=", "=1"])
def test_a_parameter_that_is_not_known_is_refused(
    client: TestClient, path: str, query: str
) -> None:
    answer = client.get(f"{path}?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


def test_an_unknown_parameter_is_answered_with_the_known_ones(client: TestClient) -> None:
    [fault] = client.get("/labels?limit=5").json()["errors"]

    assert (fault["pointer"], fault["in"]) == ("#/limit", "query")
    assert "page_size" in fault["detail"]


def test_a_token_belongs_to_its_query(client: TestClient) -> None:
    token = client.get("/labels", params={"page_size": 1}).json()["next_page_token"]

    assert client.get("/labels", params={"page_token": token, "q": "horse"}).status_code == 422


def test_labels_are_found_by_their_text(client: TestClient) -> None:
    client.put("/labels", json={"labels": [{"name": "juggling", "aliases": ["Keeping Balls up"]}]})

    found = client.get("/labels", params={"q": "balls UP"}).json()

    assert [item["name"] for item in found["items"]] == ["juggling"]


@pytest.mark.parametrize(
    "params", [{"page_size": 0}, {"page_size": "x"}, {"q": "x" * 201}, {"q": "\0"}]
)
def test_wrong_parameters_are_refused(client: TestClient, params: dict[str, Any]) -> None:
    assert client.get("/labels", params=params).json()["code"] == "invalid_parameter"


def test_a_page_has_at_most_a_thousand_labels(client: TestClient, store: LabelStore) -> None:
    client.put("/labels", json={"labels": [f"label {number}" for number in range(1_001)]})

    page = client.get("/labels", params={"page_size": 1_000_000}).json()

    assert len(page["items"]) == 1_000
    assert store.state(DEFAULT_SET).size == 1_003
