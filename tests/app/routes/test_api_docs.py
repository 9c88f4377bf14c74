"""docs/api.md agrees with the service."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient

from app.errors import KINDS
from app.main import create_app
from app.routes.schemas.options import ClassifyOptions
from app.settings import Settings
from tests.support.clips import write_clip
from tests.support.fakes import colour_tagger
from tests.support.keys import ALL_SCOPES, issue_key
from tests.support.paths import ROOT
from tests.support.servers import running_server

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"


def commands(language: str) -> list[tuple[str, str]]:
    """Each line of the blocks, with the status in its comment; 2xx without a comment."""
    lines = [
        line
        for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
        for line in block.splitlines()
    ]
    parts = [re.fullmatch(r"(.*?)(?:   # (\d{3}))?", line) for line in lines]
    return [(part[1], part[2] or "2..") for part in parts if part]


def test_every_curl_line_gets_the_status_on_the_page(server: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", seconds_colours=["red", "green"])
    assert len(commands("sh")) > 15

    run(commands("sh"), server, tmp_path, {})


def test_every_curl_line_with_a_key_gets_the_status_on_the_page(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings()
    key = issue_key(settings, *ALL_SCOPES)
    other = issue_key(settings, "classify")
    environment = {"KEY": key.token.text, "ID": other.key.id}
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        run(commands("shell"), address, tmp_path, environment)


def run(
    lines: list[tuple[str, str]], server: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Run curl lines against a server, and compare their statuses."""
    (tmp_path / ".curlrc").write_text(
        'silent\nshow-error\noutput = answer\nwrite-out = "%{http_code}"\n'
    )
    assert len(lines) > 5
    for command, status in lines:
        assert command.startswith("curl "), command
        outcome = subprocess.run(
            ["bash", "-c", command.replace(ADDRESS, server)],
            cwd=tmp_path, env={**os.environ, **environment, "CURL_HOME": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        answer = (tmp_path / "answer").read_text()
        assert re.fullmatch(status, outcome.stdout), (command, outcome.stderr, answer)


def test_every_code_is_on_the_page_with_its_status() -> None:
    documented = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)

    assert {code: int(status) for status, code in documented} == {
        code: kind.status for code, kind in KINDS.items()
    }


def test_every_option_is_on_the_page() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))

    assert documented >= set(ClassifyOptions.model_fields)


def test_every_address_is_on_the_page(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    assert {"/" + path.split("/")[1] for path in paths} <= set(
        re.findall(r"`(?:\w+ )?(/[\w-]+)", PAGE)
    )
