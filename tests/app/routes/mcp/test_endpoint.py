"""`/mcp` of a service without the package `mcp`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.testclient import TestClient

from app.problems import install_problems
from app.routes.mcp.endpoint import McpEndpoint


@asynccontextmanager
async def without_the_package(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
    yield {"mcp": None}


def test_without_its_package_the_address_says_what_to_install() -> None:
    app = FastAPI(lifespan=without_the_package)
    install_problems(app)
    app.router.routes.append(Route("/mcp", McpEndpoint(), methods=["POST"]))
    with TestClient(app) as client:
        answer = client.post("/mcp", json={})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "'.[mcp]'" in answer.json()["detail"]
