"""`kinolex labels` on a database of its own. Only embedding loads the checkpoint."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from app.store import DEFAULT_SET, Example, LabelStore, NewLabel
from model import Label
from model.checkpoint import TextConfig
from tests.app.cli.command_line import kinolex
from tests.model.test_checkpoint import CONFIG, save
from tests.model.text.test_replacement import tiny_model
from tests.support.clips import write_clip
from tests.support.paths import ROOT
from tests.support.word_vectors import WordSource


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KINOLEX_DATA_DIR", str(tmp_path / "data"))
    url = f"sqlite:///{tmp_path / 'data' / 'labels.sqlite'}"
    store = LabelStore.open(url, WordSource(), first_labels=["juggling", "riding a horse"])
    store.upsert(
        DEFAULT_SET, [NewLabel(Label("rowing [boat]", ("in a boat",), ("sculling",), None, 0.25))]
    )
    store.close()
    return url


def run(*arguments: str, typed: str | None = None) -> Result:
    return kinolex("labels", *arguments, typed=typed)


def names_in(url: str, label_set: str = DEFAULT_SET) -> list[str]:
    store = LabelStore.open(url, WordSource(), complete_vectors=False)
    try:
        return [stored.new.label.name for stored in store.export(label_set)]
    finally:
        store.close()


@pytest.mark.usefixtures("url")
def test_list_prints_prompts_aliases_and_thresholds() -> None:
    listed = run("list")
    searched = run("list", "--search", "HORSE")

    assert listed.exit_code == 0
    for shown in ("juggling", "rowing [boat]", "in a boat", "sculling", "0.25"):
        assert shown in listed.stdout
    assert "riding a horse" in searched.stdout
    assert "juggling" not in searched.stdout
    assert "1 of 3 in 'default', revision 2" in searched.stderr


READS = """
import sys
from tests.app.cli.command_line import kinolex

for words in (["sets"], ["list"], ["show", "juggling"], ["export", "-"], ["remove", "juggling"]):
    assert kinolex("labels", *words).exit_code == 0, words
    loaded = {"sentence_transformers", "torch", "transformers"} & sys.modules.keys()
    assert not loaded, f"`kinolex labels {words[0]}` imports {sorted(loaded)}"
"""


@pytest.mark.usefixtures("url")
def test_commands_that_embed_nothing_import_no_torch() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", READS], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert outcome.returncode == 0, outcome.stderr


def test_a_removed_label_is_gone(url: str) -> None:
    removed = run("remove", "JUGGLING", "riding a horse")

    assert removed.exit_code == 0
    assert names_in(url) == ["rowing [boat]"]


@pytest.mark.usefixtures("url")
def test_an_error_is_printed_with_its_code() -> None:
    missing = run("remove", "swimming")
    no_set = run("list", "--set", "sports")
    file = run("import", "-", "--format", "csv", typed="nmae\nx\n")

    assert [each.exit_code for each in (missing, no_set, file)] == [1, 1, 1]
    assert "(label_not_found)" in missing.stderr
    assert "(label_set_not_found)" in no_set.stderr
    assert file.stderr.splitlines()[-1].startswith("#/labels: not CSV")


def test_a_set_is_copied_and_listed(url: str) -> None:
    copied = run("copy", "default", "sports")
    again = run("copy", "default", "sports")
    listed = run("sets")

    assert (copied.exit_code, again.exit_code) == (0, 1)
    assert names_in(url, "sports") == ["juggling", "riding a horse", "rowing [boat]"]
    assert "sports" in listed.stdout


@pytest.mark.usefixtures("url")
def test_the_extension_of_the_file_chooses_the_format_of_an_export(tmp_path: Path) -> None:
    for ending in ("ndjson", "csv", "txt", "CSV"):
        assert run("export", str(tmp_path / f"labels.{ending}")).exit_code == 0
    piped = run("export", "-")

    lines = (tmp_path / "labels.ndjson").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == [
        "juggling",
        "riding a horse",
        "rowing [boat]",
    ]
    for ending in ("csv", "CSV"):
        assert (tmp_path / f"labels.{ending}").read_text().startswith("name,prompts,")
    assert (tmp_path / "labels.txt").read_text() == "juggling\nriding a horse\nrowing [boat]\n"
    assert piped.stdout.splitlines() == lines


def test_an_export_of_no_labels_replaces_the_file_and_a_failed_one_does_not(
    url: str, tmp_path: Path
) -> None:
    """A file of before would be taken for the labels of now."""
    store = LabelStore.open(url, WordSource())
    store.replace("empty", [])
    store.close()
    file = tmp_path / "labels.ndjson"
    file.write_text('"of before"\n')

    missing = run("export", str(file), "--set", "missing")
    kept = file.read_text()
    exported = run("export", str(file), "--set", "empty")

    assert (missing.exit_code, exported.exit_code) == (1, 0)
    assert kept == '"of before"\n'
    assert file.read_text() == ""


@pytest.mark.usefixtures("url")
def test_help_lists_every_command() -> None:
    shown = run("--help").output

    for command in (
        "list", "show", "put", "remove", "teach", "forget", "import", "export", "sets", "copy",
    ):  # fmt: skip
        assert f" {command} " in shown
    assert "by example" in run("teach", "--help").output


def test_show_prints_the_examples_of_a_label(url: str) -> None:
    store = LabelStore.open(url, WordSource(), complete_vectors=False)
    videos = [Example(digest * 64, WordSource().video_of("balls")[0]) for digest in "ab"]
    store.teach(DEFAULT_SET, "juggling", videos)
    store.close()

    shown = json.loads(run("show", "JUGGLING").stdout)
    wrong = run("forget", "juggling", "c" * 64)

    assert shown["name"] == "juggling"
    assert [each["sha256"] for each in shown["examples"]] == ["a" * 64, "b" * 64]
    assert (wrong.exit_code, "(example_not_found)" in wrong.stderr) == (1, True)


def test_an_import_shows_its_progress_on_a_terminal(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TextConfig(str(tiny_model(tmp_path / "own", seed=0)))
    checkpoint = save(tmp_path / "checkpoint", replace(CONFIG, text=text))
    monkeypatch.setenv("KINOLEX_CHECKPOINT", str(checkpoint))
    # makes rich treat the output as a terminal
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    file = tmp_path / "more.txt"
    file.write_text("".join(f"riding a horse {number}\n" for number in range(3_000)))

    imported = run("import", str(file))

    assert imported.exit_code == 0, imported.output
    shown = re.findall(r"(\d+)/3000", imported.stderr)
    assert "embedding" in imported.stderr
    assert shown[-1] == "3000"
    assert [int(done) for done in shown] == sorted(int(done) for done in shown)
    assert len(names_in(url)) == 3_003


def test_an_import_over_the_limit_of_a_set_changes_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINOLEX_MAX_LABELS", "2")

    full = run(
        "import", "-", "--format", "txt", "--set", "winter", typed="skiing\nsledding\nluge\n"
    )

    assert full.exit_code == 1
    assert "may hold 2 labels (label_set_full)" in full.stderr
    assert "winter" not in run("sets").stdout
    assert len(names_in(url)) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("url")
def test_warnings_about_stored_labels_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more.txt").write_text("skiing\nxqzvw\n")

    put = run("put", "horse riding")
    imported = run("import", str(tmp_path / "more.txt"))
    monkeypatch.setenv("KINOLEX_MANY_LABELS", "5")
    large = run("put", "swimming")

    assert put.exit_code == 0, put.output
    assert "warning: 'horse riding' means much the same as 'riding a horse'" in put.stderr
    assert "(near_duplicate)" in put.stderr
    assert "warning: the text model knows no word of 'xqzvw'" in imported.stderr
    assert "skiing" not in imported.stderr
    assert "the set is large (not_advised)" in large.stderr
    assert "'default' holds 7 labels, more than 5 (many_labels)" in large.stderr


@pytest.mark.slow
def test_videos_are_added_as_examples_and_removed(url: str, tmp_path: Path) -> None:
    for colour in ("red", "green"):
        write_clip(tmp_path / f"{colour}.mp4", seconds_colours=[colour])
    (tmp_path / "broken.mp4").write_bytes(b"no video")

    taught = run("teach", "juggling", str(tmp_path / "red.mp4"), str(tmp_path / "green.mp4"))
    broken = run("teach", "juggling", str(tmp_path / "broken.mp4"))
    nobody = run("teach", "nobody", str(tmp_path / "red.mp4"))
    forgotten = run("forget", "juggling")

    assert taught.exit_code == 0, taught.output
    assert "2 added; 2 examples now weigh 0.33" in taught.stderr
    assert "broken.mp4" in broken.stderr
    assert "(label_not_found)" in nobody.stderr
    assert "2 removed" in forgotten.stderr
    assert names_in(url)


@pytest.mark.slow
def test_put_and_import_embed_labels_with_the_default_checkpoint(url: str, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("# winter\nskiing\nsledding\n")

    put = run("put", "swimming", "--prompt", "in a pool", "--threshold", "0.5")
    refused = run("put", "diving", "  ")
    imported = run("import", str(tmp_path / "more.txt"), "--set", "winter", "--replace")

    assert put.exit_code == 0, put.output
    assert "1 created" in put.stderr
    assert refused.exit_code == 1
    assert imported.exit_code == 0, imported.output
    assert "swimming" in names_in(url)
    assert "diving" not in names_in(url)
    assert names_in(url, "winter") == ["skiing", "sledding"]
