"""`labels` of `POST /classify`: read as people write them, and not stored."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.app.routes.test_classify import RED, ask, labels_of
from tests.support.fakes import ColourText, colour_tagger
from tests.support.servers import open_client


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["red", "blue"], {"red", "blue"}),
        (["red, blue"], {"red", "blue"}),
        (["red,blue", " green "], {"red", "green", "blue"}),
        (['"red, or so", blue'], {"red, or so", "blue"}),
        (["Red", "red", "RED "], {"Red"}),
        (["red,,", ""], {"red"}),
        (["riding  a\thorse"], {"riding a horse"}),
        (["red\r\nblue\n"], {"red", "blue"}),
        (['["red", "blue"]'], {"red", "blue"}),
        ([' ["red, or so"] ', "blue"], {"red, or so", "blue"}),
        (['"red; or blue"'], {"red; or blue"}),
    ],
)
def test_labels_of_a_request_are_read_as_people_write_them(
    values: list[str], labels: set[str], shared_client: TestClient
) -> None:
    query = ask(shared_client, RED, *[("labels", value) for value in values])
    form = shared_client.post("/classify", data={"labels": values}, files={"file": RED}).json()

    assert set(labels_of(query)) == set(labels_of(form)) == labels


@pytest.mark.parametrize(
    "value",
    [
        ",",
        " ",
        "[]",
        '[""]',
        "['cat', 'dog']",
        "'cat', 'dog'",
        "\N{LEFT DOUBLE QUOTATION MARK}cat\N{RIGHT DOUBLE QUOTATION MARK}, dog",
        "\N{LEFT DOUBLE QUOTATION MARK}cat, dog\N{RIGHT DOUBLE QUOTATION MARK}",
        "cat\N{FULLWIDTH COMMA}dog",
        "cat\N{IDEOGRAPHIC COMMA}dog",
        "cat\N{ARABIC COMMA}dog",
        "[cat, dog]",
        '["cat", 7]',
        '["cat"',
        "[" * 10_000,
        '{"labels": ["cat"]}',
        "cat;dog",
        "cat|dog",
        '"cat, dog',
        '"cat" or so, dog',
    ],
)
def test_labels_written_otherwise_are_refused_with_an_example(
    value: str, shared_client: TestClient
) -> None:
    query = ask(shared_client, RED, ("labels", value), status=422)
    form = shared_client.post("/classify", data={"labels": value}, files={"file": RED}).json()

    for problem, part in ((query, "query"), (form, "form")):
        [fault] = problem["errors"]
        assert (problem["code"], fault["pointer"], fault["in"]) == (
            "invalid_parameter",
            "#/labels",
            part,
        )
        assert "labels=cat,dog" in fault["detail"]


def test_labels_under_another_name_are_refused_with_the_options(shared_client: TestClient) -> None:
    [fault] = ask(shared_client, RED, ("labels[]", "cat"), status=422)["errors"]

    assert fault["pointer"] == "#/labels[]"
    assert "labels" in fault["detail"].split(", ")


def test_ad_hoc_labels_are_not_stored(shared_client: TestClient) -> None:
    ask(shared_client, RED, ("labels", "a label that is nowhere else"))

    assert shared_client.get("/labels/a label that is nowhere else").status_code == 404


def test_ad_hoc_labels_are_embedded_once(make_settings: Callable[..., Settings]) -> None:
    text = ColourText()
    with open_client(make_settings(), tagger=colour_tagger(text=text)) as client:
        for _ in range(3):
            ask(client, RED, ("labels", "juggling in red"), ("labels", "blue"))

    assert text.encoded.count("juggling in red") == 1


def test_a_label_that_cannot_be_one_is_refused(shared_client: TestClient) -> None:
    for name in ("x" * 201, "a\x00b"):
        assert ask(shared_client, RED, ("labels", name), status=422)["code"] == "invalid_label"
