"""Labels over HTTP: what a caller puts is there, whole or not at all, and never silently lost."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from app.store import LabelStore
from tests.support.label_service import label_client, two_labels


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with two_labels(tmp_path) as store:
        yield store


@pytest.fixture
def client(store: LabelStore) -> Iterator[TestClient]:
    with label_client(store) as client:
        yield client


def names(client: TestClient, path: str = "/labels") -> list[str]:
    return [item["name"] for item in client.get(path).json()["items"]]


def pointers(answer: Any) -> list[str]:
    return [fault["pointer"] for fault in answer.json()["errors"]]


def test_a_put_label_is_listed_and_read_with_all_its_fields(client: TestClient) -> None:
    put = {
        "name": "paddling/canoeing",
        "prompts": ["in a canoe on a lake"],
        "aliases": ["rowing", "going by canoe"],
        "description": "moving a boat with a paddle",
        "language": "en",
        "threshold": 0.25,
        "enabled": True,
        "metadata": {"id": 7, "tags": ["a", None]},
    }

    answer = client.put("/labels", json={"labels": ["swimming", put]})

    assert answer.status_code == 200
    body = answer.json()
    assert (body["created"], body["updated"], body["removed"]) == (2, 0, 0)
    assert body["label_set"] | {"created_at": "", "updated_at": ""} == {
        "name": "default",
        "revision": 2,
        "size": 4,
        "created_at": "",
        "updated_at": "",
    }
    assert body["model"] == {"id": "words", "revision": "0"}
    assert answer.headers["etag"] == '"2"'
    assert names(client) == ["juggling", "paddling/canoeing", "riding a horse", "swimming"]
    read = client.get("/labels/Paddling/CANOEING").json()
    assert {key: read[key] for key in put} == put
    assert read["label_set"]["revision"] == 2


def test_a_label_is_removed_under_any_spelling(client: TestClient) -> None:
    answer = client.delete("/labels/" + quote(" RIDING  a horse"))

    assert (answer.status_code, answer.json()["removed"]) == (200, 1)
    assert names(client) == ["juggling"]
    assert client.get("/labels/riding a horse").status_code == 404
    again = client.delete("/labels/riding a horse")
    assert (again.status_code, again.json()["code"]) == (404, "label_not_found")


def test_one_wrong_label_stores_none_and_every_fault_has_its_pointer(client: TestClient) -> None:
    answer = client.put(
        "/labels",
        json={
            "labels": [
                "swimming",
                "  ",
                {"name": "rowing", "threshold": 1.5, "prompts": ["fine", ""]},
                {"name": "diving", "promts": []},
                "x" * 201,
                7,
                {"name": "a\u0000b"},
                {"name": "nan", "metadata": {"too": "x" * 20_000}},
            ]
        },
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert pointers(answer) == [
        "#/labels/1/name",
        "#/labels/2/prompts/1",
        "#/labels/2/threshold",
        "#/labels/3/promts",
        "#/labels/4/name",
        "#/labels/5",
        "#/labels/6/name",
        "#/labels/7/metadata",
    ]
    assert names(client) == ["juggling", "riding a horse"]
    assert client.get("/labels").headers["etag"] == '"1"'


def test_metadata_have_the_size_of_their_utf_8(client: TestClient) -> None:
    fits = {"name": "fits", "metadata": {"text": "\u8dd1" * 5_000}}
    exceeds = {"name": "exceeds", "metadata": {"text": "\u8dd1" * 5_500}}

    assert client.put("/labels", json={"labels": [fits]}).status_code == 200
    refused = client.put("/labels", json={"labels": [exceeds]})

    assert refused.status_code == 422
    assert pointers(refused) == ["#/labels/0/metadata"]
    assert client.get("/labels/fits").json()["metadata"] == fits["metadata"]


@pytest.mark.parametrize(("wrong", "listed"), [(100, 100), (1_234, 101)])
def test_of_very_many_faults_the_first_are_listed_and_the_rest_counted(
    client: TestClient, wrong: int, listed: int
) -> None:
    answer = client.put("/labels", json={"labels": ["fine", *[" "] * wrong]})

    assert answer.status_code == 422
    assert pointers(answer)[:100] == [f"#/labels/{number}/name" for number in range(1, 101)]
    assert len(pointers(answer)) == listed
    if wrong > listed:
        assert answer.json()["errors"][-1] == {
            "pointer": "#",
            "in": "body",
            "detail": "1,134 more faults are not listed",
        }


def test_the_same_label_twice_in_a_request_is_refused(client: TestClient) -> None:
    answer = client.put("/labels", json={"labels": ["Straße", "rowing", {"name": " STRASSE "}]})

    assert answer.status_code == 422
    assert pointers(answer) == ["#/labels/2/name"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b'{"labels": [', "application/json", 400, "malformed_request"),
        (b'{"labels": ["\xff"]}', "application/json", 400, "malformed_request"),
        (b'{"labels": ["\\ud800"]}', "application/json", 400, "malformed_request"),
        (b"[" * 100_000, "application/json", 400, "malformed_request"),
        (b"", "application/json", 400, "malformed_request"),
        (b'{"labels": "juggling"}', "application/json", 422, "invalid_parameter"),
        (b'["juggling"]', "application/json", 422, "invalid_parameter"),
        (b'{"labels": [{"name": "x", "metadata": {"a": NaN}}]}', "application/json", 422, None),
        (b'{"labels": [{"name": "x", "threshold": Infinity}]}', "application/json", 422, None),
        (b'{"labels": ["x"]}', "text/plain", 415, "unsupported_media_type"),
        (b'{"labels": ["x"]}', "", 415, "unsupported_media_type"),
    ],
)
def test_bodies_that_are_no_labels_are_refused(
    client: TestClient, body: bytes, content_type: str, status: int, code: str | None
) -> None:
    answer = client.put("/labels", content=body, headers={"Content-Type": content_type})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert code is None or answer.json()["code"] == code
    assert names(client) == ["juggling", "riding a horse"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"labels": [', "line 1 column 12"),
        (b'{\n "labels": ["a",]\n}', "line 2 column 17"),
        (b'\xff\xfe{\x00"\x00', "UTF-16"),
    ],
)
def test_json_that_is_not_valid_is_answered_with_what_and_where(
    client: TestClient, body: bytes, said: str
) -> None:
    answer = client.put("/labels", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"labels": ["rowing"]}'),
        ("application/x-ndjson", b'"rowing"\n'),
        ("text/csv", b"name\nrowing\n"),
    ],
)
def test_a_byte_order_mark_is_ignored(client: TestClient, content_type: str, body: bytes) -> None:
    marked = "\N{ZERO WIDTH NO-BREAK SPACE}".encode() + body

    answer = client.put("/labels", content=marked, headers={"Content-Type": content_type})

    assert answer.json()["created"] == 1
    assert client.get("/labels/rowing").status_code == 200


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson", "text/csv"])
@pytest.mark.parametrize(
    ("body", "name"),
    [(gzip.compress(b"[]"), "gzip"), (b"PK\x03\x04\x14\x00", "Excel")],
    ids=["gzip", "excel"],
)
def test_a_compressed_body_that_does_not_say_so_is_named(
    client: TestClient, content_type: str, body: bytes, name: str
) -> None:
    answer = client.put("/labels", content=body, headers={"Content-Type": content_type})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert name in answer.json()["detail"]


def test_a_name_has_one_limit(client: TestClient) -> None:
    details = [
        client.put("/labels", json={"labels": ["x" * length]}).json()["detail"]
        for length in (201, 5_000)
    ]

    assert [detail.partition(", this")[0] for detail in details] == [
        "#/labels/0/name: a label's name may have 200 characters"
    ] * 2


def test_labels_that_look_the_same_are_one(client: TestClient) -> None:
    answers = [
        client.put("/labels", json={"labels": [f"run{sign}ning"]}).json()
        for sign in ("", "\u200b", "\u00ad", "\u200d", "\u2060", "\ufeff")
    ]
    together = client.put("/labels", json={"labels": ["a\u200b", "a"]})

    assert [answer["created"] for answer in answers] == [1, 0, 0, 0, 0, 0]
    assert names(client) == ["juggling", "riding a horse", "running"]
    assert pointers(together) == ["#/labels/1/name"]


def test_a_write_refuses_unknown_parameters_too(client: TestClient) -> None:
    put = client.put("/labels?dry_run=true", json={"labels": ["swimming"]})

    assert put.status_code == 422
    assert names(client) == ["juggling", "riding a horse"]


def test_a_write_with_a_condition_needs_the_revision(client: TestClient) -> None:
    seen = client.get("/labels").headers["etag"]
    client.put("/labels", json={"labels": ["swimming"]})

    put = client.put("/labels", json={"labels": ["rowing"]}, headers={"If-Match": seen})
    delete = client.delete("/labels/juggling", headers={"If-Match": seen})

    assert (put.status_code, put.json()["code"]) == (412, "revision_mismatch")
    assert delete.status_code == 412
    assert names(client) == ["juggling", "riding a horse", "swimming"]
    fresh = client.get("/labels").headers["etag"]
    assert client.delete("/labels/juggling", headers={"If-Match": fresh}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"9", "1"'}, 200),
        ({"If-Match": 'W/"1"'}, 412),
        ({"If-Match": '"one"'}, 412),
        ({"If-Match": "1"}, 400),
        ({"If-None-Match": "*"}, 412),
        ({"If-None-Match": '"1"'}, 400),
    ],
)
def test_conditions_are_read_as_http_has_them(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.put("/labels", json={"labels": ["rowing"]}, headers=headers)

    assert answer.status_code == status


def test_a_client_that_has_the_revision_gets_304(client: TestClient) -> None:
    seen = client.get("/labels").headers["etag"]

    again = client.get("/labels", headers={"If-None-Match": f"W/{seen}"})
    client.put("/labels", json={"labels": ["swimming"]})
    changed = client.get("/labels", headers={"If-None-Match": seen})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", seen)
    assert changed.status_code == 200


@pytest.mark.parametrize("file_format", ["ndjson", "csv"])
def test_a_set_goes_out_as_a_file_and_comes_back(client: TestClient, file_format: str) -> None:
    client.put("/labels", json={"labels": [{"name": "rowing", "aliases": ["sculling", "a|b"]}]})
    before = client.get("/labels").json()["items"]
    file = client.get("/labels", params={"format": file_format})

    for name in ("rowing", "juggling", "riding a horse"):
        client.delete(f"/labels/{name}")
    answer = client.put(
        "/labels", content=file.content, headers={"Content-Type": file.headers["content-type"]}
    )

    assert (answer.status_code, answer.json()["created"]) == (200, 3)
    after = client.get("/labels").json()["items"]
    times = ("created_at", "updated_at")
    for item in (*before, *after):
        for key in times:
            item.pop(key)
    assert after == before
    assert file.headers["content-disposition"] == f'attachment; filename="default.{file_format}"'


def test_a_file_that_is_not_utf_8_is_refused(client: TestClient) -> None:
    answer = client.put("/labels", content=b"name\n\xff\n", headers={"Content-Type": "text/csv"})

    assert answer.status_code == 422


def test_a_set_that_is_not_there_is_not_exported(client: TestClient) -> None:
    answer = client.get("/label-sets/nowhere/labels", params={"format": "csv"})

    assert answer.json()["code"] == "label_set_not_found"
