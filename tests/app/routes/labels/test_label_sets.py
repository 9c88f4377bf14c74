"""Label sets over HTTP: named, replaced only at a known revision, copied, deleted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.store import LabelStore
from tests.support.label_service import label_client
from tests.support.word_vectors import WordSource


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    url = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    store = LabelStore.open(url, WordSource(), first_labels=["juggling", "riding a horse"])
    with label_client(store) as client:
        yield client
    store.close()


def names(client: TestClient, label_set: str) -> list[str]:
    return [item["name"] for item in client.get(f"/label-sets/{label_set}/labels").json()["items"]]


def make(client: TestClient, label_set: str, *labels: str) -> str:
    answer = client.put(f"/label-sets/{label_set}/labels", json={"labels": labels})
    assert answer.status_code == 200
    return answer.headers["etag"]


def test_a_set_has_labels_of_its_own(client: TestClient) -> None:
    make(client, "sports", "rowing", "a/b")

    assert names(client, "sports") == ["a/b", "rowing"]
    assert names(client, "default") == ["juggling", "riding a horse"]
    assert client.get("/label-sets/sports/labels/A/B").json()["label_set"]["name"] == "sports"
    assert client.delete("/label-sets/sports/labels/a/b").json()["label_set"]["size"] == 1
    assert client.get("/label-sets/sports").json()["label_set"]["revision"] == 2


def test_sets_are_listed_page_by_page(client: TestClient) -> None:
    for name in ("b", "a", "c"):
        make(client, name, "rowing")

    first = client.get("/label-sets", params={"page_size": 3}).json()
    rest = client.get("/label-sets", params={"page_token": first["next_page_token"]}).json()

    assert [item["name"] for item in first["items"]] == ["a", "b", "c"]
    assert [item["name"] for item in rest["items"]] == ["default"]
    assert rest["next_page_token"] == ""


def test_replacing_a_set_needs_a_condition(client: TestClient) -> None:
    answer = client.put("/label-sets/default", json={"labels": []})

    assert (answer.status_code, answer.json()["code"]) == (428, "precondition_required")
    assert names(client, "default") == ["juggling", "riding a horse"]


def test_a_set_is_replaced_only_at_the_revision_in_if_match(client: TestClient) -> None:
    seen = make(client, "sports", "rowing", "swimming")

    done = client.put(
        "/label-sets/sports", json={"labels": ["rowing", "diving"]}, headers={"If-Match": seen}
    )
    late = client.put("/label-sets/sports", json={"labels": []}, headers={"If-Match": seen})

    body = done.json()
    assert (body["created"], body["updated"], body["removed"]) == (1, 1, 1)
    assert late.status_code == 412
    assert names(client, "sports") == ["diving", "rowing"]


def test_a_set_is_created_once(client: TestClient) -> None:
    new = {"If-None-Match": "*"}

    first = client.put("/label-sets/sports", json={"labels": ["rowing"]}, headers=new)
    second = client.put("/label-sets/sports", json={"labels": []}, headers=new)

    assert (first.status_code, second.status_code) == (200, 412)
    assert names(client, "sports") == ["rowing"]


def test_a_set_is_copied(client: TestClient) -> None:
    new = {"If-None-Match": "*"}

    copied = client.put("/label-sets/copy", json={"copy_of": "default"}, headers=new)
    client.delete("/labels/juggling")

    assert copied.json()["created"] == 2
    assert names(client, "copy") == ["juggling", "riding a horse"]
    missing = client.put("/label-sets/copy2", json={"copy_of": "no"}, headers=new)
    assert (missing.status_code, missing.json()["code"]) == (404, "label_set_not_found")
    assert client.get("/label-sets/copy2").status_code == 404
    onto_itself = client.put(
        "/label-sets/copy", json={"copy_of": "copy"}, headers={"If-Match": "*"}
    )
    assert onto_itself.status_code == 409


@pytest.mark.parametrize("body", [{}, {"labels": [], "copy_of": "default"}, {"copy_of": 7}])
def test_a_set_gets_either_labels_or_a_copy(client: TestClient, body: dict[str, object]) -> None:
    answer = client.put("/label-sets/sports", json=body, headers={"If-None-Match": "*"})

    assert answer.status_code == 422


def test_revisions_go_on_after_a_set_was_deleted(client: TestClient) -> None:
    make(client, "sports", "rowing")

    deleted = client.delete("/label-sets/sports")

    assert deleted.json()["removed"] == 1
    assert client.get("/label-sets/sports/labels").json()["code"] == "label_set_not_found"
    assert make(client, "sports", "diving") == '"3"'


def test_the_default_set_stays(client: TestClient) -> None:
    answer = client.delete("/label-sets/default")

    assert (answer.status_code, answer.json()["code"]) == (409, "label_set_protected")


@pytest.mark.parametrize("name", ["a b", "ü", "-a", "x" * 65, "%00"])
def test_a_set_has_a_plain_name(client: TestClient, name: str) -> None:
    answers = [
        client.get(f"/label-sets/{name}"),
        client.put(f"/label-sets/{name}/labels", json={"labels": ["rowing"]}),
        client.put(
            f"/label-sets/{name}", json={"labels": ["rowing"]}, headers={"If-None-Match": "*"}
        ),
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 422]
