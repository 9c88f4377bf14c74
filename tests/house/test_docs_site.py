"""The documentation: its commands work, it covers what it must, and it is built strictly."""

import importlib.util
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import httpx2
import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort, PluginError
from typer.core import TyperGroup
from typer.main import get_command

import kinolex_client
import model
from app.cli.program import cli
from app.errors import KINDS
from tests.support.clips import write_clip
from tests.support.doc_commands import commands, run_curl
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
WITH_CURL = [DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))]
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", DOCS / "hooks" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_curl_line_of_tutorial_and_guides_gets_its_status(
    server: str, tmp_path: Path
) -> None:
    for name in ("clip.mp4", "film.mp4"):
        write_clip(tmp_path / name, seconds_colours=["red", "green"])
    while httpx2.get(f"{server}/readyz").status_code != 200:
        time.sleep(0.05)
    run = 0
    for page in WITH_CURL:
        lines = [
            (line, status)
            for line, status in commands(page.read_text(encoding="utf-8"), "sh")
            if line.startswith("curl ")
        ]
        run_curl(lines, server, tmp_path, {})
        run += len(lines)

    assert run > 8


def kinolex_lines(text: str) -> Iterator[list[str]]:
    """The words of each `kinolex` command in the blocks of a page, without comments."""
    for block in re.findall(r"^```(?:sh|shell|console|text)\n(.*?)^```", text, re.DOTALL | re.M):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.fullmatch(r"(?:\$ )?(?:[A-Z_]+=\S+ )*kinolex (.*)", line)
            if command:
                yield shlex.split(command[1], comments=True)


def parse(words: list[str]) -> None:
    """Parse a command of `kinolex` without running it; raise for unknown commands and options."""
    command, name = get_command(cli), "kinolex"
    # `kinolex train` is a group that has options of its own
    while isinstance(command, TyperGroup) and not words[0].startswith("-"):
        name += f" {words[0]}"
        assert words[0] in command.commands, f"there is no `{name}`"
        command, words = command.commands[words[0]], words[1:]
    context = command.context_class(command, info_name=name)
    command.make_parser(context).parse_args(args=list(words))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_kinolex_has_the_commands_and_options_on_the_page(page: Path) -> None:
    for words in kinolex_lines(page.read_text(encoding="utf-8")):
        parse(words)


def test_an_unknown_command_or_option_of_kinolex_would_be_noticed() -> None:
    page = "```console\n$ kinolex classify clip.mp4 --colour red  # why\n```\n"
    assert list(kinolex_lines(page)) == [["classify", "clip.mp4", "--colour", "red"]]

    with pytest.raises(Exception, match="colour"):
        parse(["classify", "clip.mp4", "--colour", "red"])
    with pytest.raises(AssertionError, match="kinolex colour"):
        parse(["colour"])


def test_every_problem_code_has_a_solution_on_the_page() -> None:
    page = (DOCS / "how-to" / "troubleshoot.md").read_text(encoding="utf-8")
    solutions = re.findall(r"^### `(\w+)`\n(\S.*)$", page, re.MULTILINE)

    assert sorted(code for code, _ in solutions) == sorted(KINDS)


def test_the_reference_of_the_library_has_every_public_name() -> None:
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")

    assert sorted(re.findall(r"^::: model\.(\w+)$", page, re.MULTILINE)) == sorted(model.__all__)


def test_the_reference_of_the_client_has_every_public_name() -> None:
    page = (DOCS / "reference" / "client.md").read_text(encoding="utf-8")

    named = set(re.findall(r"^::: kinolex_client\.(\w+)$", page, re.MULTILINE))
    assert named == {*kinolex_client.__all__, "options"}


def test_the_reference_of_commands_names_all_of_them(hooks: ModuleType) -> None:
    headings = re.findall(r"^#+ (kinolex .*)$", hooks.commands(), re.MULTILINE)

    assert {"kinolex serve", "kinolex keys create", "kinolex checkpoint import"} <= set(headings)
    assert "| `--top-k" in hooks.commands()


def test_links_out_of_docs_lead_to_the_page_that_shows_the_file(hooks: ModuleType) -> None:
    def shown(text: str, source: str) -> str:
        folder = (Path("docs") / source).parent.as_posix()
        return str(hooks.redirect(text, folder, source))

    assert shown("[c](../CHANGELOG.md#x)", "api.md") == "[c](changelog.md#x)"
    card = "[c](../../model/default_checkpoint/README.md)"
    assert shown(card, "how-to/x.md") == "[c](../reference/model-card.md)"
    assert shown("[`t`](../model/tagger.py)", "api.md") == "`t`"
    assert shown("```\n[c](../none.md)\n```", "api.md") == "```\n[c](../none.md)\n```"
    with pytest.raises(PluginError, match=r"none\.md does not exist"):
        shown("[c](../none.md)", "api.md")


def build_site(folder: Path, text: str) -> None:
    """Build a site of one page with the settings of ours."""
    docs = folder / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(f"# Home\n\n{text}\n")
    config = load_config(
        str(ROOT / "mkdocs.yml"), docs_dir=str(docs), site_dir=str(folder / "site"), strict=True,
        nav=["index.md"], not_in_nav="*.md", plugins=[], theme="mkdocs", hooks=[],
    )  # fmt: skip
    build(config)


@pytest.mark.parametrize("text", ["[there](index.md#nowhere)", "[there](none.md)"])
def test_a_link_that_leads_nowhere_fails_the_build(text: str, tmp_path: Path) -> None:
    with pytest.raises(Abort, match="1 warnings in strict mode"):
        build_site(tmp_path, text)


def test_a_good_page_passes_the_build(tmp_path: Path) -> None:
    build_site(tmp_path, "[here](index.md#home)")

    assert "<h1" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_a_page_that_loads_from_another_host_fails_the_build(hooks: ModuleType) -> None:
    file = SimpleNamespace(file=SimpleNamespace(src_uri="x.md"))
    for loaded in (
        '<img src="//example.org/x.png">',
        "<script src=https://example.org/x></script>",
    ):
        with pytest.raises(PluginError, match=r"example\.org"):
            hooks.on_post_page(loaded, file, None)

    own = '<script src="assets/x.js"></script><a href="https://example.org">there</a>'
    assert hooks.on_post_page(own, file, None) == own
