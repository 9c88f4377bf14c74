"""Warnings about labels that are stored: near duplicates, negations, words not understood, size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.store import DEFAULT_SET, LabelStore
from tests.support.label_service import label_client, two_labels
from tests.support.spellings import full_width


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with two_labels(tmp_path) as store:
        yield store


@pytest.fixture
def client(store: LabelStore) -> Iterator[TestClient]:
    with label_client(store) as client:
        yield client


def warnings(answer: Any) -> list[tuple[str, str]]:
    return [(warned["pointer"], warned["code"]) for warned in answer.json()["warnings"]]


def test_a_label_with_the_meaning_of_another_is_stored_with_a_warning(
    client: TestClient,
) -> None:
    answer = client.put(
        "/labels", json={"labels": ["swimming", "horse riding a", "a ball", "ball a", "xqzv xqw"]}
    )

    assert answer.json()["created"] == 5
    assert warnings(answer) == [
        ("#/labels/1", "near_duplicate"),
        ("#/labels/3", "near_duplicate"),
        ("#/labels/4", "not_understood"),
    ]
    assert "'riding a horse'" in answer.json()["warnings"][0]["detail"]


def test_a_warning_names_the_alias_that_matched(client: TestClient) -> None:
    equestrian = {"name": "equestrian", "aliases": ["a pony", "horse riding a"]}
    jogging = {"name": "jogging", "aliases": ["out for a run"]}
    running = {"name": "running", "aliases": ["a dash", "out for a run"]}
    client.put("/labels", json={"labels": [jogging]})

    answer = client.put("/labels", json={"labels": [equestrian, running, "pony a"]})

    assert warnings(answer) == [
        ("#/labels/0/aliases/1", "near_duplicate"),
        ("#/labels/1/aliases/1", "near_duplicate"),
        ("#/labels/2", "near_duplicate"),
    ]
    details = [warned["detail"] for warned in answer.json()["warnings"]]
    assert "'horse riding a' means much the same as 'riding a horse'" in details[0]
    assert "'out for a run', an alias of 'jogging'" in details[1]
    assert "'a pony', an alias of 'equestrian'" in details[2]


def test_a_label_that_says_what_is_not_shown_gets_a_warning(client: TestClient) -> None:
    fine = ["knotting a rope", "no-look pass", "notes", "another"]
    answer = client.put(
        "/labels",
        json={
            "labels": [
                *fine,
                "not running",
                {"name": "an empty street", "aliases": ["Nobody walks"], "prompts": ["no people"]},
                "a door that isn't open",
                "anything but running",
                {"name": "a dark room", "prompts": ["lack of light"]},
            ]
        },
    )

    assert [warned for warned in warnings(answer) if warned[1] == "negation"] == [
        ("#/labels/4", "negation"),
        ("#/labels/5/aliases/0", "negation"),
        ("#/labels/5/prompts/0", "negation"),
        ("#/labels/6", "negation"),
        ("#/labels/7", "negation"),
        ("#/labels/8/prompts/0", "negation"),
    ]


def test_a_letter_that_only_looks_latin_gives_a_warning(client: TestClient) -> None:
    disguised = {"name": "surfing", "aliases": ["s\u0443rfing"]}

    answer = client.put(
        "/labels", json={"labels": ["r\u0443nning", disguised, "\u0431\u0435\u0433"]}
    )

    assert warnings(answer) == [
        ("#/labels/0", "look_alike"),
        ("#/labels/1/aliases/0", "look_alike"),
    ]
    assert "CYRILLIC SMALL LETTER U" in answer.json()["warnings"][0]["detail"]


def test_a_name_in_letters_of_full_width_is_the_label_of_its_plain_letters(
    client: TestClient,
) -> None:
    first = client.put("/labels", json={"labels": [full_width("swimming")]})
    second = client.put("/labels", json={"labels": ["Swimming"]})
    twice = client.put("/labels", json={"labels": ["rowing", full_width("rowing")]})

    assert (first.json()["created"], first.json()["warnings"]) == (1, [])
    assert (second.json()["created"], second.json()["updated"]) == (0, 1)
    assert client.get(f"/labels/{full_width('swimming')}").json()["name"] == "Swimming"
    page = client.get("/labels", params={"q": full_width("swim")}).json()
    assert [label["name"] for label in page["items"]] == ["Swimming"]
    assert twice.status_code == 422
    assert "the same label as #/labels/0" in twice.text


def test_an_alias_that_is_not_understood_is_pointed_at(client: TestClient) -> None:
    answer = client.put("/labels", json={"labels": [{"name": "rowing", "aliases": ["xqz"]}]})

    assert warnings(answer) == [("#/labels/0/aliases/0", "not_understood")]


def test_a_replaced_set_gets_warnings_too(client: TestClient) -> None:
    answer = client.put(
        "/label-sets/default", json={"labels": ["a ball", "ball a"]}, headers={"If-Match": "*"}
    )

    assert warnings(answer) == [("#/labels/1", "near_duplicate")]


def test_a_warning_about_a_label_comes_once(client: TestClient) -> None:
    client.put("/labels", json={"labels": ["horse riding a"]})

    again = client.put("/labels", json={"labels": ["horse riding a", "riding a horse"]})

    assert warnings(again) == []


def test_a_set_that_grows_large_is_stored_with_a_warning(store: LabelStore) -> None:
    with label_client(store, many_labels=3) as client:
        fine = client.put("/labels", json={"labels": ["swimming"]})
        large = client.put("/labels", json={"labels": ["rowing"]})
        whole = client.put(
            "/label-sets/default", json={"labels": list("abcd")}, headers={"If-Match": "*"}
        )

    assert warnings(fine) == []
    assert warnings(large) == warnings(whole) == [("#", "many_labels")]
    assert store.state(DEFAULT_SET).size == 4
