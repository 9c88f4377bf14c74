"""The command line, in process and as the program that people run."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from app.cli.program import cli
from app.cli.tag_files import tag_files
from app.routes.schemas.videos import ClassifyAnswer
from app.settings import Settings
from tests.support.clips import write_clip
from tests.support.fakes import colour_tagger

ROOT = Path(__file__).resolve().parents[3]
LABELS = [("labels", "red, green"), ("labels", "blue")]


@pytest.fixture
def red(tmp_path: Path) -> Path:
    path = tmp_path / "red.mp4"
    write_clip(path, seconds_colours=["red", "red"])
    return path


def words(text: str) -> str:
    """Terminal output without colours, frames and line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;?]*\w|[│╭╮╰╯─]", " ", text).split())


def test_the_table_has_the_tags_best_first(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    code = tag_files([red], LABELS, make_settings(), as_json=False, tagger=colour_tagger())

    shown = capfd.readouterr().out
    assert code == 0
    assert shown.startswith("red.mp4")
    rows = [line.split() for line in shown.splitlines()[2:5]]
    assert rows[0] == ["0.99", "red"]
    assert {row[1] for row in rows[1:]} == {"green", "blue"}


def test_segments_are_shown_beside_their_tags(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    options = [*LABELS, ("granularity", "segments"), ("window_seconds", "1")]

    tag_files([red], options, make_settings(), as_json=False, tagger=colour_tagger())

    assert "0.99  red    0.0-2.0 s" in capfd.readouterr().out


def test_json_is_the_apis_answer_one_line_a_video(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    code = tag_files([red, red], LABELS, make_settings(), as_json=True, tagger=colour_tagger())

    lines = capfd.readouterr().out.splitlines()
    assert code == 0
    assert len(lines) == 2
    for line in lines:
        answer = ClassifyAnswer.model_validate_json(line)
        assert answer.tags[0].label == "red"
        assert answer.request_id == str(red)


def test_a_file_that_is_no_video_does_not_stop_the_others(
    red: Path,
    tmp_path: Path,
    make_settings: Callable[..., Settings],
    capfd: pytest.CaptureFixture[str],
) -> None:
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("no video")
    empty.touch()

    code = tag_files(
        [text, empty, red], LABELS, make_settings(), as_json=True, tagger=colour_tagger()
    )

    out, err = capfd.readouterr()
    assert code == 1
    assert json.loads(out)["tags"][0]["label"] == "red"
    assert "(not_a_video)" in words(err)
    assert "(empty_file)" in words(err)


def test_a_label_set_that_is_missing_is_one_sentence(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    options = [("label_set", "bikes")]

    code = tag_files([red], options, make_settings(), as_json=False, tagger=colour_tagger())

    assert code == 1
    assert "(label_set_not_found)" in words(capfd.readouterr().err)


def test_help_is_quick_because_it_loads_nothing_heavy() -> None:
    check = (
        "import sys; from app.cli.program import cli; from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'faiss', 'fastapi', 'sqlalchemy', 'numpy', 'av'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


@pytest.mark.parametrize("command", ["classify", "serve", "labels", "train", "evaluate"])
def test_every_command_explains_itself(command: str) -> None:
    outcome = CliRunner().invoke(cli, [command, "--help"])

    assert outcome.exit_code == 0, outcome.output
    assert command in words(outcome.output)


def test_a_video_that_is_not_there_is_a_usage_error() -> None:
    outcome = CliRunner().invoke(cli, ["classify", "nowhere.mp4"])

    assert outcome.exit_code == 2
    assert "does not exist" in words(outcome.output)


def test_a_setting_that_is_wrong_is_named(red: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOLEX_DEVICE", "gpu")

    for command in (["classify", str(red)], ["serve"]):
        outcome = CliRunner().invoke(cli, command)
        assert outcome.exit_code == 2
        assert "KINOLEX_DEVICE: Input should be 'auto', 'cpu' or 'cuda'" in outcome.output


def environment(data_dir: Path) -> dict[str, str]:
    return {**os.environ, "KINOLEX_DATA_DIR": str(data_dir), "KINOLEX_DEVICE": "cpu"}


@pytest.mark.slow
def test_the_program_tags_a_video_with_the_shipped_checkpoint(red: Path, tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "app", "classify", str(red), "--labels", "a red wall, a dog",
         "--top-k", "1", "--json"],
        cwd=ROOT, env=environment(tmp_path / "data"), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert outcome.returncode == 0, outcome.stderr
    (tag,) = json.loads(outcome.stdout)["tags"]
    assert tag["label"] in {"a red wall", "a dog"}


def ready(address: str, server: subprocess.Popen[str]) -> bool:
    try:
        return httpx2.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        assert server.poll() is None, "the server ended"
        return False


def put_and_met_everywhere(address: str, label: str, video: bytes) -> None:
    """Stores a label, and then asks so often, four at a time, that every process has to answer."""
    put = httpx2.put(f"{address}/labels", json={"labels": [label]}, timeout=60)
    put.raise_for_status()

    def ask(_: int) -> None:
        # a new connection each time, so that either process may take it
        found = httpx2.get(f"{address}/labels/{label}", timeout=60)
        assert found.status_code == 200, found.text
        answer = httpx2.post(
            f"{address}/classify", files={"file": video}, data={"top_k": "10000"}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        assert label in {tag["label"] for tag in answer.json()["tags"]}
        assert answer.json()["label_set"]["revision"] == put.json()["label_set"]["revision"]

    with ThreadPoolExecutor(4) as askers:
        list(askers.map(ask, range(6)))


def is_classify(file: Path) -> bool:
    """Whether a process's file of counts has requests to /classify in it."""
    return file.name.startswith("counter_") and b"/classify" in file.read_bytes()


@pytest.mark.slow
def test_served_by_two_processes_every_answer_knows_every_label(tmp_path: Path, red: Path) -> None:
    port = 18_473
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("w+") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", "--port", str(port), "--workers", "2"],
            cwd=ROOT, env=environment(tmp_path / "data"), stderr=log, text=True,
        )  # fmt: skip
        try:
            while not ready(address, server):
                time.sleep(0.2)
            for number in range(3):
                put_and_met_everywhere(address, f"label number {number}", red.read_bytes())
            answer = httpx2.post(
                f"{address}/classify", files={"file": red.read_bytes()}, timeout=60
            )
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["tags"]) == 5
            # each process counts in files that are named after it
            counted = (tmp_path / "data" / "metrics").glob("*.db")
            assert len({file.stem.split("_")[-1] for file in counted if is_classify(file)}) == 2
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        log.seek(0)
        printed = log.read()

    assert f"The page: {address}/" in printed
    assert f"curl -F file=@video.mp4 {address}/classify" in printed
    assert "Traceback" not in printed
