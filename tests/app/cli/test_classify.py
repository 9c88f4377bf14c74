"""`kinolex classify`, in this process and as a program."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.videos.tag_files import tag_files
from app.routes.schemas.videos import ClassifyAnswer
from app.settings import Settings
from tests.app.cli.command_line import kinolex, plain
from tests.support.clips import write_clip
from tests.support.fakes import colour_tagger
from tests.support.paths import ROOT

LABELS = [("labels", "red, green"), ("labels", "blue")]


@pytest.fixture
def red(tmp_path: Path) -> Path:
    path = tmp_path / "red.mp4"
    write_clip(path, seconds_colours=["red", "red"])
    return path


def test_the_table_lists_tags_by_falling_score(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    code = tag_files([red], LABELS, make_settings(), as_json=False, tagger=colour_tagger())

    shown = capfd.readouterr().out
    assert code == 0
    assert shown.startswith("red.mp4")
    rows = [line.split() for line in shown.splitlines()[2:5]]
    assert rows[0] == ["0.99", "likely", "red"]
    assert {tuple(row[1:]) for row in rows[1:]} == {("unsure", "green"), ("unsure", "blue")}


def test_segments_are_printed_beside_their_tags(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    options = [*LABELS, ("granularity", "segments"), ("window_seconds", "1")]

    tag_files([red], options, make_settings(), as_json=False, tagger=colour_tagger())

    assert "0.99  likely      red    0.0-2.0 s" in capfd.readouterr().out


def test_json_is_the_apis_response_one_line_per_video(
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


def test_an_unreadable_file_does_not_stop_the_others(
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
    assert "(not_a_video)" in plain(err)
    assert "(empty_file)" in plain(err)


def test_a_missing_label_set_is_reported_with_its_code(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    options = [("label_set", "bikes")]

    code = tag_files([red], options, make_settings(), as_json=False, tagger=colour_tagger())

    assert code == 1
    assert "(label_set_not_found)" in plain(capfd.readouterr().err)


def test_a_missing_video_is_a_usage_error() -> None:
    outcome = kinolex("classify", "nowhere.mp4")

    assert outcome.exit_code == 2
    assert "file 'nowhere.mp4' does not exist" in outcome.stderr


def test_an_invalid_setting_is_named(red: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOLEX_DEVICE", "gpu")

    outcome = kinolex("classify", red)

    assert outcome.exit_code == 2
    assert "KINOLEX_DEVICE: Input should be 'auto', 'cpu' or 'cuda'" in outcome.stderr


@pytest.mark.slow
def test_the_program_tags_a_video_with_the_shipped_checkpoint(red: Path, tmp_path: Path) -> None:
    outcome = subprocess.run(
        [
            *(sys.executable, "-m", "app", "classify", red),
            *("--labels", "a red wall, a dog", "--top-k", "1", "--json"),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "KINOLEX_DATA_DIR": str(tmp_path / "data"),
            "KINOLEX_DEVICE": "cpu",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr
    (tag,) = json.loads(outcome.stdout)["tags"]
    assert tag["label"] in {"a red wall", "a dog"}
