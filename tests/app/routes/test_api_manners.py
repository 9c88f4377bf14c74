"""What every route does alike, and how the API describes itself to programs."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from app.main import create_app
from app.routes.schemas.options import ClassifyOptions
from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.fakes import colour_tagger
from tests.support.keys import ALL_SCOPES, bearer, issue_key
from tests.support.servers import open_client

FILL = {
    "label_set": "default",
    "name": "nothing",
    "sha256": "0" * 64,
    "key_id": "0" * 12,
    "job_id": "0" * 32,
    "alert_id": "0" * 32,
}
# Files for browsers: scripts of a page read the query of its address.
PAGES = {"/", "/docs"}
ROUTES = sorted(
    (method, re.sub(r"\{(\w+)(:path)?\}", lambda found: FILL[found[1]], route.path or ""))
    for route in iter_route_contexts(create_app(Settings(), tagger=colour_tagger()).routes)
    for method in (route.methods or set()) - {"HEAD"}
    if route.path not in PAGES
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client whose key has every scope."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"), decode_workers=1, log_level="error"
    )
    key = issue_key(settings, *ALL_SCOPES)
    with open_client(settings) as client:
        client.headers.update(bearer(key))
        yield client


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    """The OpenAPI document."""
    answer: dict[str, Any] = client.get("/openapi.json").json()
    return answer


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda part: str(part))
def test_every_route_refuses_a_parameter_that_it_does_not_have(
    method: str, path: str, client: TestClient
) -> None:
    answer = client.request(method, f"{path}?no_such_parameter=1")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert answer.json()["errors"][0]["pointer"] == "#/no_such_parameter"


def test_every_option_of_a_video_is_declared_once(document: dict[str, Any]) -> None:
    operation = document["paths"]["/classify"]["post"]
    declared = [each["name"] for each in operation["parameters"]]
    for content in operation["requestBody"]["content"].values():
        declared += content["schema"].get("properties", {})

    assert Counter(declared) == Counter(["file", *ClassifyOptions.model_fields])


def test_an_option_may_be_sent_as_a_field_or_as_a_parameter(
    make_settings: Callable[..., Settings],
) -> None:
    file = {"file": clip_bytes(seconds_colours=["red"])}
    with open_client(make_settings()) as client:
        field = client.post("/classify", files=file, data={"labels": "red, blue"})
        parameter = client.post("/classify?labels=red,%20blue", files=file)

    assert field.status_code == parameter.status_code == 200
    assert field.json()["tags"] == parameter.json()["tags"]


def test_operation_ids_are_short_and_belong_to_one_operation(document: dict[str, Any]) -> None:
    ids = [each["operationId"] for path in document["paths"].values() for each in path.values()]

    assert {"classify", "create_job", "put_labels", "put_labels_in_set", "get_model"} <= set(ids)
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in ids)


@pytest.mark.parametrize("path", ["/labels", "/label-sets/{label_set}/labels"])
def test_answers_in_lines_are_declared(path: str, document: dict[str, Any]) -> None:
    declared = document["paths"][path]["get"]["responses"]["200"]["content"]

    assert declared.keys() == {"application/json", "application/x-ndjson", "text/csv"}
