"""Page tokens that a client made itself: none is an error of the service."""

import json

import pytest
from starlette.testclient import TestClient

from app.routes.addressing import write_token
from app.store.analyses import VideoFilter

PATHS = ["/videos", "/jobs", "/search"]
TIME = "2026-12-01T00:00:00+00:00"
KEYS = [
    "x",
    "0",
    "9" * 20,
    "{}",
    "null",
    "[" * 3000,
    json.dumps([TIME]),
    json.dumps([TIME, "\0"]),
    json.dumps([0, "0" * 32]),
    json.dumps(["0001-01-01T00:00:00+14:00", "0" * 32]),
    json.dumps(["x", 1, 0.0]),
    json.dumps([-0.5, None, 0.0]),
    "[-0.5, 1e999, 0]",
]


@pytest.fixture(scope="module")
def queries(shared_client: TestClient) -> dict[str, str]:
    """What the tokens of the lists say of their query."""
    revision = shared_client.get("/model").json()["revision"]
    return {
        "/videos": repr(VideoFilter()),
        "/jobs": "jobs None",
        "/search": f"q red 0.0 {VideoFilter()} {revision}",
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:40])
def test_a_token_with_another_key_is_refused(
    path: str, key: str, queries: dict[str, str], shared_client: TestClient
) -> None:
    words = {"q": "red"} if path == "/search" else {}
    token = write_token(key, queries[path])

    answer = shared_client.get(path, params={**words, "page_token": token})

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "#/page_token"
