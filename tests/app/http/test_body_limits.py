"""Bodies over their limit get a problem, whatever Content-Length says."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from app.http.body_limits import BodyLimit
from app.problems import install_problems
from app.requests import lift_body_limit

JSON = {"Content-Type": "application/json; charset=utf-8"}
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def client() -> TestClient:
    """Bodies of 10 bytes, lines of 20; `/counted` has no limit, `/unread` reads nothing."""
    app = FastAPI()
    install_problems(app)
    app.add_middleware(BodyLimit, max_bytes=10, max_bytes_of={LINES["Content-Type"]: 20})

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.post("/counted")
    async def counted(request: Request) -> int:
        lift_body_limit(request)
        return len(await request.body())

    @app.post("/unread")
    async def unread() -> int:
        return 0

    return TestClient(app)


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size):
        yield b"x"


@pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize(
    ("path", "headers", "size", "status"),
    [
        ("/read", JSON, 10, 200),
        ("/read", JSON, 11, 413),
        ("/read", {}, 11, 413),
        ("/read", LINES, 20, 200),
        ("/read", LINES, 21, 413),
        ("/counted", JSON, 1000, 200),
        ("/unread", JSON, 1000, 200),
        ("/nowhere", JSON, 1000, 404),
    ],
)
def test_a_body_is_limited_by_its_media_type_where_it_is_read(
    path: str,
    headers: dict[str, str],
    size: int,
    status: int,
    is_announced: bool,
    client: TestClient,
) -> None:
    content = b"x" * size if is_announced else pieces(size)

    answer = client.post(path, content=content, headers=headers)

    assert answer.status_code == status
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    if status == 413:
        assert answer.json()["code"] == "upload_too_large"
