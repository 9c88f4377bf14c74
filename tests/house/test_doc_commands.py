"""Every command of README and the docs is run by a test, or is left out for a reason.

Curl lines: tests/house/test_docs_site.py, tests/app/routes/test_api_docs.py and the last test here.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.main import create_app
from app.settings import Settings
from app.store import LabelStore
from model.checkpoint import TextConfig
from tests.app.cli.command_line import kinolex
from tests.model.test_checkpoint import CONFIG, save
from tests.model.text.test_replacement import tiny_model
from tests.support.clips import write_clip
from tests.support.doc_commands import ADDRESS, run_curl
from tests.support.fakes import colour_tagger
from tests.support.paths import ROOT
from tests.support.servers import running_server
from tests.support.word_vectors import WordSource

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "client" / "README.md", *sorted(DOCS.rglob("*.md"))]

# Pages whose lines with kinolex are run here, from top to bottom.
RUN_HERE = ["README.md", "docs/api.md", "docs/how-to/back-up.md", "docs/how-to/integrate.md"]
RUN_HERE += ["docs/how-to/monitor.md"]

# What is not run, and what stands for it.
LEFT_OUT = {
    r"make (serve|test)\b": "the gate runs `make test`; .ci/newcomer runs `make serve`, by hand",
    r"make bench-training": "a measurement; tests/benchmarks has its parts",
    r"docker compose ": "no Docker engine; tests/house/test_compose.py checks the files",
    r"kubectl ": "no cluster; tests/house/test_deployment.py checks the manifests",
    r"pip install ": "downloads; the gate installs the same extras",
    r"createuser ": "PostgreSQL's own; the tests on PostgreSQL make a user and a database",
    r"torchrun ": "eight GPUs; tests/model/training/test_run.py runs torchrun with two processes",
    r"(KINOLEX_\w+=\S+ )?(make|kinolex) serve": "does not end; tests/app/cli/test_serve.py runs it",
    r"KINOLEX_DATABASE_URL=\S+ kinolex labels": "a host `db`; the store's tests use PostgreSQL",
    r"kinolex labels export labels.ndjson --set default": "run without --set, for back-up.md",
    r"kinolex archive ": "Ray; tests/app/cli/archive runs the three commands",
    r"kinolex doctor": "tests/app/cli/test_doctor.py runs it",
    r"kinolex checkpoint ": "a hub or hours; tests/app/cli/test_checkpoint.py runs each command",
    r"kinolex data ": "data sets; tests/app/cli/test_data.py runs each command",
    r"kinolex (train|evaluate) ": "hours; tests/app/cli/test_train.py runs each command",
    r"kinolex evaluate-mteb ": "data sets; tests/model/training/measure/test_mteb_tasks.py",
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands_of(page: Path) -> Iterator[str]:
    """The commands in the blocks of a page, without curl lines, comments and output."""
    text = page.read_text(encoding="utf-8")
    for kind, block in re.findall(
        r"^```(sh|shell|bash|console|text)\n(.*?)^```", text, re.S | re.M
    ):
        for line in block.replace("\\\n", " ").splitlines():
            has_prompt = line.startswith("$ ")
            if kind in ("console", "text") and not has_prompt:
                continue
            command = re.split(r" {2,}#", line.removeprefix("$ "))[0].strip()
            if command and not command.startswith("curl "):
                yield command


def is_left_out(command: str) -> bool:
    return any(re.match(pattern, command) for pattern in LEFT_OUT)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_is_run_or_left_out_for_a_reason(page: Path) -> None:
    for command in commands_of(page):
        runs = name_of(page) in RUN_HERE and re.match(r"(\w+=\S+ )*(kinolex|cd|python3) ", command)
        assert runs or is_left_out(command), f"{name_of(page)}: nothing runs `{command}`"


def test_nothing_is_left_out_that_no_page_has() -> None:
    every = [command for page in PAGES for command in commands_of(page)]

    for pattern in LEFT_OUT:
        assert any(re.match(pattern, command) for command in every), pattern


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with the videos that pages name, and a data folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    (tmp_path / "deploy" / "prometheus").mkdir(parents=True)
    for name in ("clip.mp4", "four clips.mp4", "films/film.mp4"):
        write_clip(tmp_path / name, seconds_colours=["red", "green"])
    monkeypatch.setenv("KINOLEX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


class Reader:
    """Types the commands of pages, as somebody does who puts in ids of their own."""

    def __init__(self, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = server
        self._monkeypatch = monkeypatch
        # ids on the pages, and those of this service
        self._ids = {"5e0c1f7a9b3d4c2e8f6a0b1c2d3e4f50": "", "3f9a1c0b7d2e": ""}

    def type(self, command: str) -> None:
        """Run a command, and expect success."""
        if command.startswith("cd "):
            self._monkeypatch.chdir(Path(command.removeprefix("cd ")).expanduser())
            return
        line, _, target = command.partition(" > ")
        words = shlex.split(line)
        if words[0] == "python3":
            subprocess.run([sys.executable, *words[1:]], check=True)
            return
        with self._monkeypatch.context() as environment:
            while "=" in words[0]:
                environment.setenv(*words.pop(0).split("=", 1))
            output = self._kinolex(words[1:])
        if target:
            Path(target).write_text(output)

    def _kinolex(self, words: list[str]) -> str:
        words = [self._ids.get(word, word).replace(ADDRESS, self._server) for word in words]
        if words[0] in ("jobs", "search", "classify") and "--url" not in words:
            words += ["--url", self._server]
        # a folder is watched until Ctrl-C
        outcome = kinolex(*(word for word in words if word != "--watch"))
        assert outcome.exit_code == 0, (words, outcome.output)
        job, key = self._ids
        if words[:2] == ["jobs", "submit"] and "--wait" not in words:
            self._ids[job] = outcome.stdout.strip()
        if words[:2] == ["keys", "create"]:
            self._ids[key] = re.findall(r"^id (\w+)", outcome.stderr, re.MULTILINE)[0]
        return outcome.stdout


def lines_to_run(*names: str) -> list[str]:
    commands = [
        command
        for name in names
        for command in commands_of(ROOT / name)
        if not is_left_out(command)
    ]
    # once there is a key, every request needs one
    return sorted(commands, key=lambda line: line.startswith("kinolex keys"))


def test_the_commands_about_videos_jobs_and_keys_do_what_they_say(
    make_settings: Callable[..., Settings], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = lines_to_run(
        "README.md", "docs/how-to/integrate.md", "docs/api.md", "docs/how-to/monitor.md"
    )
    assert len(lines) > 10

    with running_server(create_app(make_settings(), tagger=colour_tagger())) as address:
        reader = Reader(address, monkeypatch)
        for line in lines:
            reader.type(line)

    assert (place / "films" / "film.tags.vtt").read_text().startswith("WEBVTT")
    assert (place / "deploy" / "prometheus" / "key").read_text().startswith("kx_")


def test_a_backup_as_the_page_makes_it_has_the_labels(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TextConfig(str(tiny_model(place / "words", seed=0)))
    checkpoint = save(place / "checkpoint", replace(CONFIG, text=text))
    monkeypatch.setenv("KINOLEX_CHECKPOINT", str(checkpoint))
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.delenv("KINOLEX_DATA_DIR")
    data = place / ".local" / "share" / "kinolex"
    store = LabelStore.open(
        f"sqlite:///{data}/labels.sqlite", WordSource(), first_labels=["rowing"]
    )
    store.close()

    reader = Reader("", monkeypatch)
    for line in lines_to_run("docs/how-to/back-up.md"):
        reader.type(line)

    copy = LabelStore.open(f"sqlite:///{data}/labels.backup", WordSource())
    assert [stored.new.label.name for stored in copy.export("default")] == ["rowing"]
    copy.close()


def test_every_curl_line_of_readme_gets_its_status(server: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "video.mp4", seconds_colours=["red", "green"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [
        (line.replace("localhost:8000", server), "2..")
        for block in re.findall(r"^```sh\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
        if line.startswith("curl ")
    ]
    assert len(lines) > 3

    run_curl(lines, server, tmp_path, {})
