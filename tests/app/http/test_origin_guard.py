"""Which hosts and origins are allowed."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.http.origin_guard import OriginGuard


def answers(
    host: str,
    *,
    method: str = "POST",
    origin: str | None = None,
    allowed_hosts: tuple[str, ...] = (),
    allowed_origins: tuple[str, ...] = (),
) -> tuple[int, str | None]:
    """Status and code of a request under this host from a page of this origin."""
    inner = Starlette(routes=[Route("/", lambda _: PlainTextResponse("ok"), methods=[method])])
    guard = OriginGuard(inner, allowed_hosts=allowed_hosts, allowed_origins=allowed_origins)
    headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
    answer = TestClient(guard).request(method, "/", headers=headers)
    return answer.status_code, answer.json()["code"] if answer.status_code != 200 else None


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "kinolex.localhost",
        "127.0.0.1:8000",
        "192.168.1.7",
        "[::1]:8000",
    ],
)
def test_addresses_and_localhost_are_allowed_hosts(host: str) -> None:
    assert answers(host) == (200, None)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "notlocalhost",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_foreign_name_that_resolves_to_this_machine_is_refused(host: str, method: str) -> None:
    assert answers(host, method=method) == (403, "host_not_allowed")


@pytest.mark.parametrize("host", ["[::1", "user@localhost", "localhost/evil", "a b", "localhost:x"])
def test_what_is_not_a_host_is_malformed(host: str) -> None:
    assert answers(host) == (400, "malformed_request")


def test_allowed_hosts_are_answered() -> None:
    allowed = ("tags.example", "*.intern.example")
    assert answers("tags.example:443", allowed_hosts=allowed) == (200, None)
    assert answers("TAGS.example", allowed_hosts=allowed) == (200, None)
    assert answers("a.intern.example", allowed_hosts=allowed) == (200, None)
    assert answers("intern.example", allowed_hosts=allowed)[0] == 403
    assert answers("evilintern.example", allowed_hosts=allowed)[0] == 403
    assert answers("anything.example", allowed_hosts=("*",)) == (200, None)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost", "https://localhost"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_our_own_page_may_write(host: str, origin: str) -> None:
    assert answers(host, method="PUT", origin=origin) == (200, None)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:3000",
        "http://127.0.0.1",
        "null",
        "file://",
        "http://localhost.evil.example:8000",
        "http://localhost:8000@evil.example",
        "http://localhost:99999999",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_foreign_page_may_not_write(origin: str, method: str) -> None:
    assert answers("localhost:8000", method=method, origin=origin) == (403, "origin_not_allowed")


def test_a_foreign_page_can_be_allowed() -> None:
    allowed = ("https://app.example",)
    assert answers("localhost", origin="https://app.example", allowed_origins=allowed)[0] == 200
    assert answers("localhost", origin="http://app.example", allowed_origins=allowed)[0] == 403


def test_reads_and_requests_without_an_origin_are_allowed() -> None:
    assert answers("localhost", method="GET", origin="http://evil.example") == (200, None)
    assert answers("localhost", method="PUT") == (200, None)
