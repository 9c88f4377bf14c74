"""`kinolex data`, run with command line arguments."""

import csv
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from model.training.data.manifest import read_manifest, write_manifest
from tests.app.cli.command_line import kinolex
from tests.support.clips import write_clip
from tests.support.colour_world import colour_samples
from tests.support.training_tree import write_clips, write_pictures


def data(*arguments: object) -> Result:
    return kinolex("data", *arguments)


def test_validate_counts_samples_and_labels(tmp_path: Path) -> None:
    pictures, clips = write_pictures(tmp_path / "p"), write_clips(tmp_path / "c")

    outcome = data("validate", pictures, clips, "--decode", "--workers", 2)

    assert outcome.exit_code == 0, outcome.output
    assert f"{pictures}: walls, no split: 16 pictures, 0 videos, 4 labels" in outcome.stdout
    assert f"{clips}: lamps, no split: 0 pictures, 4 videos, 4 labels" in outcome.stdout


def test_validate_reports_every_invalid_row_of_every_manifest(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "one.csv").write_text("path,label\na.png,\na.png,red\nb.png,blue\n")
    (tmp_path / "two.csv").write_text("path,label,start\na.png,red,soon\n")

    outcome = data("validate", tmp_path / "one.csv", tmp_path / "two.csv")

    assert outcome.exit_code == 1
    assert "line 2: needs a label or captions" in outcome.stderr
    assert "line 4: no file" in outcome.stderr
    assert "two.csv: 1 bad rows" in outcome.stderr
    assert "line 2: start 'soon' is not a time" in outcome.stderr


def test_validate_opens_the_files_with_decode_only(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.mp4").write_bytes(b"no video")
    write_clip(tmp_path / "c.mp4", seconds_colours=["red"])
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label\na.png,red\nb.mp4,blue\nc.mp4,red\n")

    assert data("validate", manifest).exit_code == 0
    outcome = data("validate", manifest, "--decode")

    assert outcome.exit_code == 1
    assert [line.split(": ")[0] for line in outcome.stderr.splitlines()] == [
        str(tmp_path / "a.png"),
        str(tmp_path / "b.mp4"),
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_manifest_lists_the_samples_of_a_published_layout(tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    for name in ("red_wall", "blue_wall"):
        (tmp_path / "walls" / "train" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "walls" / "train" / name / "1.png")
    out = tmp_path / "made" / f"manifest.{ending}"

    outcome = data("manifest", "folders", tmp_path / "walls", "--out", out)

    assert outcome.exit_code == 0, outcome.output
    assert "2 samples" in outcome.stdout
    assert {(s.label, s.split) for s in read_manifest(out)} == {
        ("red wall", "train"),
        ("blue wall", "train"),
    }
    assert data("manifest", "vimeo", tmp_path, "--out", out).exit_code == 2


def test_shard_packs_readable_files_and_names_the_others(tmp_path: Path) -> None:
    manifest = write_clips(tmp_path / "c")
    (tmp_path / "c" / "0.mp4").write_bytes(b"no video")

    outcome = data("shard", manifest, "--out", tmp_path / "shards", "--short-side", 32, "--gop", 4)

    assert outcome.exit_code == 0, outcome.output
    assert "3 samples, 1 left out" in outcome.stdout
    assert str(tmp_path / "c" / "0.mp4") in outcome.stderr
    assert len(read_manifest(tmp_path / "shards" / "manifest.csv")) == 3
    with tarfile.open(tmp_path / "shards" / "shard-000000.tar") as tar:
        assert len(tar.getnames()) == 6


def test_overlap_overwrites_a_table_with_force_only(tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.csv", colour_samples(tmp_path, each=1))
    (tmp_path / "split.toml").write_text('test = ["dark ruby"]\n')
    table, picture = tmp_path / "overlap.csv", tmp_path / "overlap.png"
    arguments = [
        *("overlap", "--data", tmp_path / "manifest.csv", "--out", table),
        *("--held-out", tmp_path / "split.toml", "--histogram", picture),
    ]

    outcome = data(*arguments)

    assert outcome.exit_code == 0, outcome.output
    assert "1 of 7 training classes removed" in outcome.stdout
    with table.open(newline="") as file:
        (row, *_) = csv.DictReader(file)
    assert (row["text"], row["class"], row["decision"]) == ("ruby", "dark ruby", "drop")
    assert picture.is_file()
    again = data(*arguments)
    assert again.exit_code == 2
    assert "may hold decisions" in again.stderr
    assert data(*arguments, "--force").exit_code == 0
