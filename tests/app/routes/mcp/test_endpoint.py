"""`/mcp` without the package `mcp`, and when the package is loaded."""

import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
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


def test_the_package_is_loaded_by_the_first_request(tmp_path: Path) -> None:
    service = """
        import sys
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from app.settings import Settings
        from tests.support.servers import open_client

        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        accept = {"accept": "application/json, text/event-stream"}
        settings = Settings(data_dir=Path(sys.argv[1]), decode_workers=1, log_level="error")
        with open_client(settings) as client, ThreadPoolExecutor(2) as pool:
            assert "mcp" not in sys.modules
            asked = [
                pool.submit(client.post, "/mcp", json=ping, headers=accept) for _ in range(2)
            ]
            assert [each.result().status_code for each in asked] == [200, 200]
            assert "mcp" in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(service), tmp_path], check=True)
