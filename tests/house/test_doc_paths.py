"""Documents name only files that exist, so that a file that moves takes its mentions along."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Text in backticks that begins with a folder of the project, without an anchor or a test's name.
PATH = re.compile(r"`((?:model|app|tests|benchmarks|docs|docker|\.ci)/[\w./-]*)[^`]*`")
RECORD = re.compile(r"(\d{4})-[a-z0-9-]+\.md")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_named_on_a_page_exists(page: Path) -> None:
    named = PATH.findall(page.read_text(encoding="utf-8"))

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_paths_in_backticks_are_recognised() -> None:
    text = "`model/tagger.py`, `app/store/`, `.ci/run`, `pytest tests/x.py`, `org/name`"

    assert PATH.findall(text) == ["model/tagger.py", "app/store/", ".ci/run"]


def test_decision_records_have_one_number_each_and_the_five_parts() -> None:
    records = sorted((ROOT / "docs" / "decisions").iterdir())
    numbers = []
    for record in records:
        match = RECORD.fullmatch(record.name)
        assert match, f"{record.name}: name it NNNN-what-was-decided.md"
        numbers.append(match[1])
        text = record.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(match[1])}. "), f"{record.name}: begin with its number"
        for part in ("Context", "Decision", "Consequences", "Alternatives", "Holds by"):
            assert f"**{part}.**" in text, f"{record.name} has no part {part}"

    assert len(numbers) == len(set(numbers))


def test_architecture_lists_the_layers_of_the_import_contracts() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    words = " ".join(page.split())
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layered = [
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]

    assert layered
    for layers in layered:
        names = [", ".join(f"`{name}`" for name in layer.split(" : ")) for layer in layers]
        assert " > ".join(names) in words
