"""Labels over HTTP: what a caller puts is there, whole or not at all, and never silently lost."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.routes.addressing import read_token, write_token
from app.store import DEFAULT_SET, LabelStore
from tests.support.label_service import label_client
from tests.support.word_vectors import WordSource


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    url = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    store = LabelStore.open(url, WordSource(), first_labels=["juggling", "riding a horse"])
    yield store
    store.close()


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


def test_a_write_refuses_unknown_parameters_too(client: TestClient) -> None:
    put = client.put("/labels?dry_run=true", json={"labels": ["swimming"]})

    assert put.status_code == 422
    assert names(client) == ["juggling", "riding a horse"]


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
            ]
        },
    )

    assert [warned for warned in warnings(answer) if warned[1] == "negation"] == [
        ("#/labels/4", "negation"),
        ("#/labels/5/aliases/0", "negation"),
        ("#/labels/5/prompts/0", "negation"),
        ("#/labels/6", "negation"),
    ]


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
