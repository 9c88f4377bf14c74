"""Every route with every kind of key: what docs/api.md says is what the service does."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from app.access.rules import Rule, guards_of
from app.access.tokens import new_token
from app.main import create_app
from app.routes.access_rules import RULES
from app.settings import Settings
from app.store.access import SCOPES, Scope
from tests.support.fakes import colour_tagger
from tests.support.keys import ALL_SCOPES, bearer, issue_key
from tests.support.paths import ROOT
from tests.support.servers import BASE_URL, open_client

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
STRANGER = ("203.0.113.7", 50_000)
FILL = {
    "label_set": "default",
    "name": "nothing",
    "sha256": "0" * 64,
    "key_id": "0" * 12,
    "job_id": "0" * 32,
    "alert_id": "0" * 32,
}
REFUSALS = {401, 403}
OPEN, BROWSERS, ANY = "none", "none for browsers", "any key"


@dataclass(frozen=True)
class Address:
    """A route, and what docs/api.md says about the key that it needs."""

    method: str
    path: str
    needs: str

    @property
    def url(self) -> str:
        return re.sub(r"\{(\w+)(:path)?\}", lambda found: FILL.get(found[1], "x"), self.path)

    def answers(self, scopes: frozenset[Scope]) -> bool:
        return self.needs in {OPEN, BROWSERS, ANY} or self.needs in scopes


def documented() -> dict[tuple[str, str], str]:
    """The table of docs/api.md: address to requirement, with the label set's prefix optional."""
    section = PAGE.split("## API keys")[1].split("\n## ")[0]
    table: dict[tuple[str, str], str] = {}
    for cell, needs in re.findall(r"^\| (`[A-Z`].*?) \| (.+?) \|$", section, re.MULTILINE):
        for methods, path in re.findall(r"`([A-Z/]+) (/[^`]*)`", cell):
            for method in methods.split("/"):
                table[method, path] = needs.strip("`")
    return table


def addresses() -> list[Address]:
    """Each route of the app, with its requirement in the documentation."""
    app = create_app(Settings(), tagger=colour_tagger())
    table = documented()
    found = []
    for route in iter_route_contexts(app.routes):
        path = route.path or ""
        if route.methods is None:
            # a mounted folder of files
            found.append(Address("GET", f"{path}/icon.svg", table["GET", "/static"]))
            continue
        shown = path.replace(":path}", "}").replace("/label-sets/{label_set}/labels", "/labels")
        for method in sorted(route.methods - {"HEAD"}):
            found.append(Address(method, path, table[method, shown]))
    return found


ADDRESSES = addresses()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("data")
    return Settings(data_dir=folder, decode_workers=1, log_level="error")


@pytest.fixture(scope="module")
def keyed(settings: Settings) -> Iterator[TestClient]:
    """A client of a service that has keys."""
    issue_key(settings)
    with open_client(settings) as client:
        yield client


@pytest.fixture(scope="module")
def headers(settings: Settings) -> dict[frozenset[Scope], dict[str, str]]:
    """A key for no scope, for each one alone, and for all."""
    kinds = [frozenset[Scope](), *(frozenset([scope]) for scope in SCOPES), ALL_SCOPES]
    return {kind: bearer(issue_key(settings, *kind)) for kind in kinds}


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda a: f"{a.method} {a.path}")
def test_a_key_opens_what_its_scopes_open_and_nothing_else(
    address: Address,
    keyed: TestClient,
    headers: dict[frozenset[Scope], dict[str, str]],
) -> None:
    opened = {
        kind: keyed.request(address.method, address.url, headers=header).status_code
        for kind, header in headers.items()
    }

    assert {kind: status not in REFUSALS for kind, status in opened.items()} == {
        kind: address.answers(kind) for kind in headers
    }
    assert all(status < 500 or status == 503 for status in opened.values())
    assert {status for status in opened.values() if status in REFUSALS} <= {403}


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda a: f"{a.method} {a.path}")
def test_without_a_right_key_only_probes_and_the_page_itself_answer(
    address: Address, keyed: TestClient, headers: dict[frozenset[Scope], dict[str, str]]
) -> None:
    right = headers[ALL_SCOPES]["Authorization"]
    wrong = [
        {},
        bearer(new_token().text),
        {"Authorization": right[:-1] + ("0" if right[-1] != "0" else "1")},
        {"Authorization": right.upper()},
        {"Authorization": "Basic " + right.partition(" ")[2]},
        {"Authorization": right.partition(" ")[2]},
    ]

    statuses = {
        keyed.request(address.method, address.url, headers=header).status_code for header in wrong
    }

    if address.needs in {OPEN, BROWSERS}:
        assert not statuses & REFUSALS
    else:
        assert statuses == {401}


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda a: f"{a.method} {a.path}")
def test_without_any_keys_a_client_elsewhere_gets_only_probes(
    address: Address, keyless: tuple[TestClient, TestClient]
) -> None:
    stranger, neighbour = keyless

    refused = stranger.request(address.method, address.url)
    answered = neighbour.request(address.method, address.url)

    if address.needs == OPEN:
        assert refused.status_code not in REFUSALS
    else:
        assert (refused.status_code, refused.json()["code"]) == (401, "key_required")
        assert "kinolex keys create" in refused.json()["detail"]
    # the first key is not made over HTTP: what reaches the port first would own the service
    assert (answered.status_code in REFUSALS) == (address.needs == "admin")


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, TestClient]]:
    """A client elsewhere and one on this computer, of a service without keys."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("keyless"), decode_workers=1, log_level="error"
    )
    app = create_app(settings, tagger=colour_tagger())
    with (
        TestClient(app, base_url=BASE_URL, client=STRANGER) as stranger,
        open_client(settings) as neighbour,
    ):
        yield stranger, neighbour


def test_the_documentation_names_no_address_that_does_not_exist() -> None:
    routes = {(address.method, address.path.replace(":path}", "}")) for address in ADDRESSES}

    assert documented().keys() - routes == {("GET", "/static")}


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "OPTIONS", "HEAD", "TRACE", "get"])
@pytest.mark.parametrize("path", ["/nowhere", "/labels", "/x//labels", "/Labels", "/%6cabels/x"])
def test_an_unknown_address_or_method_is_refused_without_a_key(
    method: str, path: str, keyed: TestClient
) -> None:
    assert keyed.request(method, path).status_code == 401


def test_openapi_says_which_scope_each_operation_needs(
    keyed: TestClient, headers: dict[frozenset[Scope], dict[str, str]]
) -> None:
    paths = keyed.get("/openapi.json", headers=headers[frozenset()]).json()["paths"]

    assert paths["/labels/{name}"]["delete"]["security"] == [{"key": ["labels:write"]}]
    assert paths["/model"]["get"]["security"] == [{"key": []}]
    assert "security" not in paths["/healthz"]["get"]


def test_an_app_with_a_route_that_has_no_rule_does_not_start(
    make_settings: Callable[..., Settings],
) -> None:
    app = create_app(make_settings(), tagger=colour_tagger())
    app.get("/secret")(lambda: None)

    with pytest.raises(LookupError, match="GET /secret"):
        guards_of(app.routes, RULES)
    with pytest.raises(LookupError, match="GET /gone"):
        guards_of(app.routes, {**RULES, "GET /secret": Rule(), "GET /gone": Rule()})
