"""docs/api.md agrees with the service."""

import re
from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient

from app.errors import KINDS
from app.main import create_app
from app.routes.schemas.options import ClassifyOptions
from app.settings import Settings
from tests.support.clips import write_clip
from tests.support.doc_commands import commands, run_curl
from tests.support.fakes import colour_tagger
from tests.support.keys import ALL_SCOPES, issue_key
from tests.support.paths import ROOT
from tests.support.servers import running_server

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_curl_line_gets_the_status_on_the_page(server: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", seconds_colours=["red", "green"])
    lines = commands(PAGE, "sh")
    assert len(lines) > 15

    run_curl(lines, server, tmp_path, {})


def test_every_curl_line_with_a_key_gets_the_status_on_the_page(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings()
    key = issue_key(settings, *ALL_SCOPES)
    other = issue_key(settings, "classify")
    environment = {"KEY": key.token.text, "ID": other.key.id}
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        lines = commands(PAGE, "shell")
        assert len(lines) > 5
        run_curl(lines, address, tmp_path, environment)


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
