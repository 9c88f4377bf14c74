"""`kinolex classify`, in this process and as a program."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio
import pytest

from app.cli.videos.asking import own_service
from app.cli.videos.inputs import Video, arriving_videos, named_videos, states
from app.cli.videos.outputs import Format, Outputs
from app.cli.videos.tag_files import tag_files
from app.routes.schemas.videos import ClassifyAnswer
from app.settings import Settings
from tests.app.cli.command_line import kinolex, plain
from tests.support.clips import write_clip
from tests.support.fakes import colour_tagger
from tests.support.paths import ROOT
from tests.support.ports import free_port

LABELS = [("labels", "red, green"), ("labels", "blue")]
BY_THE_SECOND = [("granularity", "segments"), ("window_seconds", "1")]


@pytest.fixture
def red(tmp_path: Path) -> Path:
    path = tmp_path / "red.mp4"
    write_clip(path, seconds_colours=["red", "red"])
    return path


def tag(
    paths: Sequence[Path],
    settings: Settings,
    *more: tuple[str, str],
    kind: Format = "table",
    sidecar: bool = False,
) -> int:
    """Tag files in this process, with the labels red, green and blue."""
    service = partial(own_service, [*LABELS, *more], settings, colour_tagger())
    return tag_files([Video(path) for path in paths], service, Outputs(kind, sidecar))


def test_the_table_lists_tags_by_falling_score(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    code = tag([red], make_settings())

    shown = capfd.readouterr().out
    assert code == 0
    assert shown.startswith("red.mp4")
    rows = [line.split() for line in shown.splitlines()[2:5]]
    assert rows[0] == ["0.99", "likely", "red"]
    assert {tuple(row[1:]) for row in rows[1:]} == {("unsure", "green"), ("unsure", "blue")}


def test_segments_are_printed_beside_their_tags(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    tag([red], make_settings(), *BY_THE_SECOND)

    assert "0.99  likely      red    0.0-2.0 s" in capfd.readouterr().out


def test_json_is_the_apis_response_one_line_per_video(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    code = tag([red, red], make_settings(), kind="json")

    lines = capfd.readouterr().out.splitlines()
    assert code == 0
    assert len(lines) == 2
    for line in lines:
        assert ClassifyAnswer.model_validate_json(line).tags[0].label == "red"
        assert json.loads(line)["file"] == str(red)


def test_csv_has_one_head_and_a_line_for_each_tag_of_each_span(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    tag([red, red], make_settings(), ("min_score", "0.5"), *BY_THE_SECOND, kind="csv")

    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert len(rows) == 2
    assert rows[0].keys() == {"video", "start", "end", "label", "score"}
    assert (rows[0]["video"], rows[0]["label"]) == (str(red), "red")
    assert (rows[0]["start"], rows[0]["end"]) == ("0.000", "2.000")


def test_a_cell_of_csv_is_no_formula(capfd: pytest.CaptureFixture[str]) -> None:
    answer = {
        "video": {"duration": 2.0},
        "windows": None,
        "tags": [{"label": "=1+1", "score": 0.5}],
        "segments": [],
    }

    Outputs("csv", sidecar=False).put(Video(None), json.dumps(answer))

    assert capfd.readouterr().out == "standard input,0.000,2.000,'=1+1,0.5000\n"


@pytest.mark.parametrize("kind", ["table", "json", "csv"])
@pytest.mark.parametrize("sidecar", [False, True])
def test_a_file_name_that_is_not_utf_8_is_printed_with_its_bytes(
    kind: Format, sidecar: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    tag = {"label": "red", "score": 0.5, "likelihood": "possible"}
    answer = {
        "video": {"duration": 2.0, "warnings": []},
        "windows": None,
        "tags": [tag],
        "segments": [],
        "unknown": {"is_unknown": False},
    }
    outputs = Outputs(kind, sidecar=sidecar)

    outputs.put(Video(video), json.dumps(answer))

    shown = capsys.readouterr().out
    if sidecar and kind != "table":
        shown = outputs.path_for(video).read_text(encoding="utf-8")
    name = json.loads(shown)["file"] if kind == "json" else shown
    assert r"caf\xe9.mp4" in name


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nred (99 %)\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:02,000\nred (99 %)\n"),
        ("csv", "video,start,end,label,score\n"),
        ("json", '{"file": "'),
    ],
)
def test_a_sidecar_is_written_beside_each_video(
    kind: Format,
    start: str,
    red: Path,
    make_settings: Callable[..., Settings],
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = tag([red], make_settings(), *BY_THE_SECOND, kind=kind, sidecar=True)

    out, err = capfd.readouterr()
    sidecar = red.with_name(f"red.tags.{kind}")
    assert (code, out) == (0, "")
    assert sidecar.read_text().startswith(start)
    assert f"wrote {sidecar}" in plain(err).replace("- ", "-")
    assert {path.name for path in red.parent.glob("*.tags*")} == {sidecar.name}


def test_an_unreadable_file_does_not_stop_the_others(
    red: Path,
    tmp_path: Path,
    make_settings: Callable[..., Settings],
    capfd: pytest.CaptureFixture[str],
) -> None:
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("no video")
    empty.touch()

    code = tag([text, empty, tmp_path / "gone.mp4", red], make_settings(), kind="json")

    out, err = capfd.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [line.get("code") for line in lines] == [
        "not_a_video", "empty_file", "file_unreadable", None,
    ]  # fmt: skip
    assert lines[0]["file"] == str(text)
    assert lines[3]["tags"][0]["label"] == "red"
    assert "(not_a_video)" in plain(err)
    assert "(empty_file)" in plain(err)


def test_a_missing_label_set_is_reported_with_its_code(
    red: Path, make_settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    service = partial(own_service, [("label_set", "bikes")], make_settings(), colour_tagger())

    code = tag_files([Video(red)], service, Outputs("table", sidecar=False))

    assert code == 1
    assert "(label_set_not_found)" in plain(capfd.readouterr().err)


def test_a_running_service_gives_the_same_answers(red: Path, server: str, tmp_path: Path) -> None:
    asked = ["--url", server, "--labels", "red, green", "--labels", "blue"]
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")

    table = kinolex("classify", red, *asked)
    lines = kinolex("classify", broken, red, *asked, "--json")
    film = kinolex("classify", red, *asked, "--segments", "--format", "vtt")
    refused = kinolex("classify", broken, *asked, "--format", "vtt")
    piped = kinolex("classify", "-", *asked, "--format", "csv", typed=red.read_bytes())

    assert "0.99  likely      red" in table.stdout
    assert [json.loads(line).get("code") for line in lines.stdout.splitlines()] == [
        "not_a_video",
        None,
    ]
    assert film.stdout.startswith("WEBVTT\n")
    assert refused.exit_code == lines.exit_code == 1
    assert plain(refused.stderr).endswith("(not_a_video)")
    assert piped.stdout.splitlines()[1].startswith("standard input,0.000,2.000,red,0.99")


def test_a_service_that_does_not_answer_is_one_line(red: Path) -> None:
    outcome = kinolex("classify", red, "--url", f"http://127.0.0.1:{free_port()}")

    assert outcome.exit_code == 1
    assert plain(outcome.stderr).endswith("(service_unreachable)")


def test_folders_and_patterns_name_the_videos_in_them(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/c.MOV", "a/.hidden/d.mp4", "a/notes.txt", "odd.name", "a/e[1].mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def found(*words: str) -> list[str]:
        named = named_videos([word if word == "-" else str(tmp_path / word) for word in words])
        return [str(video.path.relative_to(tmp_path)) if video.path else "-" for video in named]

    assert found("") == ["a/c.MOV", "a/e[1].mp4", "b.mp4"]
    assert found("**/*.mp4") == ["a/.hidden/d.mp4", "a/e[1].mp4", "b.mp4"]
    assert found("odd.name", "-", "a/e[1].mp4", "") == [
        "odd.name", "-", "a/e[1].mp4", "a/c.MOV", "b.mp4",
    ]  # fmt: skip


def test_a_video_that_arrives_is_tagged_once_it_has_stopped_growing(tmp_path: Path) -> None:
    early, late = tmp_path / "early.mp4", tmp_path / "late.mp4"
    early.write_bytes(b"1")
    first = states([tmp_path])

    def write(path: Path, data: bytes, time: int) -> None:
        path.write_bytes(data)
        os.utime(path, ns=(time, time))

    steps: Iterator[Callable[[], object]] = iter([
        lambda: write(late, b"1", 1),
        lambda: write(late, b"12", 2),
        lambda: None,
        lambda: None,
        lambda: write(early, b"12", 3),
        lambda: None,
    ])  # fmt: skip

    async def pause() -> None:
        next(steps)()

    async def arrived() -> list[Path | None]:
        arriving = arriving_videos([tmp_path], first, pause)
        return [(await anext(arriving)).path for _ in range(2)]

    assert anyio.run(arrived) == [late, early]
    assert next(steps, None) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.mp4"], "file 'nowhere.mp4' does not exist"),
        (["nowhere/*.mp4"], "no file matches 'nowhere/*.mp4'"),
        (["."], "the folder has no video"),
        (["-", "--watch"], "--watch needs a folder"),
        (["-", "--sidecar", "--json"], "no place for standard input"),
        (["-", "--sidecar"], "--sidecar needs --format"),
        ([".", "--watch", "--format", "vtt"], "--sidecar writes a file for each"),
    ],
)
def test_arguments_that_do_not_fit_are_a_usage_error(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    outcome = kinolex("classify", *arguments)

    assert outcome.exit_code == 2
    assert message in plain(outcome.stderr)


def test_two_videos_do_not_share_a_sidecar(tmp_path: Path) -> None:
    for name in ("film.mp4", "film.mov"):
        (tmp_path / name).touch()

    outcome = kinolex("classify", tmp_path, "--sidecar", "--json")

    assert outcome.exit_code == 2
    assert "would get the sidecar" in plain(outcome.stderr)


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
