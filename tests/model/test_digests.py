"""A checkpoint whose files are half written or changed is refused by the name of the file."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from model.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from model.digests import check_digests
from model.errors import CheckpointError
from model.tagger import Tagger
from tests.model.test_checkpoint import CONFIG, DIM, save
from tests.support.word_vectors import WordVectors


def load(directory: Path) -> Tagger:
    return load_checkpoint(directory, text=WordVectors(DIM))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path / "checkpoint")


def test_a_checkpoint_has_the_digests_that_sha256sum_checks(saved: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=saved, check=True)

    assert load(saved).model_id


@pytest.mark.parametrize("size", [1, 1000])
def test_weights_that_were_preallocated_and_half_written_are_refused(
    size: int, saved: Path
) -> None:
    file = saved / "model.safetensors"
    with file.open("r+b") as weights:
        weights.seek(-size, os.SEEK_END)
        # what is there may be zero already
        weights.write(bytes(byte ^ 1 for byte in file.read_bytes()[-size:]))

    with pytest.raises(CheckpointError, match=r"model\.safetensors is half written or was changed"):
        load(saved)


def test_a_changed_config_is_refused(saved: Path) -> None:
    file = saved / "config.json"
    file.write_text(file.read_text() + " ")

    with pytest.raises(CheckpointError, match=r"config\.json is half written or was changed"):
        load(saved)


def test_a_save_that_ended_in_the_middle_is_refused(saved: Path, tmp_path: Path) -> None:
    new = save(tmp_path / "new", replace(CONFIG, model_id="another"))
    # the digests are written first
    (saved / "SHA256SUMS").write_bytes((new / "SHA256SUMS").read_bytes())

    with pytest.raises(CheckpointError, match="half written"):
        load(saved)


def test_a_checkpoint_without_digests_is_loaded(saved: Path) -> None:
    (saved / "SHA256SUMS").unlink()

    assert load(saved).model_id


def test_a_text_model_in_the_checkpoint_is_covered_too(tmp_path: Path) -> None:
    text = tmp_path / "checkpoint" / "text"
    text.mkdir(parents=True)
    for name in ("vocab.txt", ".hidden", "with space"):
        (text / name).write_text("words")
    saved = save(tmp_path / "checkpoint")
    assert load(saved).model_id

    (text / "vocab.txt").write_text("other words")
    with pytest.raises(CheckpointError, match=r"vocab\.txt is half written or was changed"):
        load(saved)


def test_a_missing_file_is_named(saved: Path) -> None:
    (saved / "model.safetensors").unlink()

    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        load(saved)


@pytest.mark.parametrize("line", ["no digest", f"{'0' * 64}  ../config.json", f"{'0' * 64}  /x"])
def test_a_line_that_names_no_file_of_the_folder_is_refused(line: str, saved: Path) -> None:
    (saved / "SHA256SUMS").write_text(f"{line}\n")

    with pytest.raises(CheckpointError, match="not a digest and a name"):
        load(saved)


def test_the_default_checkpoint_is_covered() -> None:
    names = (DEFAULT_CHECKPOINT / "SHA256SUMS").read_text().split()[1::2]

    assert names == ["config.json", "model.safetensors"]
    check_digests(DEFAULT_CHECKPOINT)
