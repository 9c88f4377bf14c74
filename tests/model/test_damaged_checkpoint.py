"""Checkpoints that are damaged or that do not fit: refused with what was found and expected."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from model.checkpoint import TextConfig, load_checkpoint
from model.errors import CheckpointError
from tests.model.test_checkpoint import CONFIG, Spoil, in_config, in_weights, load, save
from tests.support.word_vectors import WordVectors


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path / "checkpoint")


def written(name: str, content: bytes) -> Spoil:
    def spoil(directory: Path) -> None:
        (directory / name).write_bytes(content)

    return spoil


def without(name: str) -> Spoil:
    return lambda directory: (directory / name).unlink()


def cut_short(directory: Path) -> None:
    file = directory / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def endless_header(directory: Path) -> None:
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")


def a_folder(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "model.safetensors").mkdir()


LINEAR = "network.head.linear.weight"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(without("config.json"), r"config\.json cannot be read", id="no config"),
        pytest.param(without("model.safetensors"), "cannot be read", id="no weights"),
        pytest.param(written("config.json", b""), "cannot be read", id="empty config"),
        pytest.param(written("config.json", b"{"), "cannot be read", id="half a config"),
        pytest.param(written("config.json", b"\xff\xfe"), "cannot be read", id="no text"),
        pytest.param(written("config.json", b"[" * 100_000), "cannot be read", id="deep config"),
        pytest.param(written("config.json", b"[]"), "no format version", id="a list"),
        pytest.param(written("config.json", b'"x"'), "no format version", id="a text"),
        pytest.param(in_config("format_version", value=3), "version 3.*reads 1", id="version"),
        pytest.param(
            in_config("format_version", remove=True), "no format version", id="no version"
        ),
        pytest.param(in_config("encoder", remove=True), "encoder: Field required", id="section"),
        pytest.param(in_config("model_id", value=7), "model_id: .*found 7", id="type"),
        pytest.param(
            in_config("encoder", "network", value="lite9"), "network: .*lite0.*lite9", id="network"
        ),
        pytest.param(in_config("encoder", "dim", value="x"), r"encoder\.dim: .*'x'", id="dim"),
        pytest.param(in_config("encoder", "depth", value=3), r"encoder\.depth: .*3", id="unknown"),
        pytest.param(in_config("sampling", "clips", value=0), "at least 1, not 0", id="clips"),
        pytest.param(
            in_config("preprocess", "crop_side", value=41),
            r"crop_side must be in 1\.\.40.*not 41",
            id="crop",
        ),
        pytest.param(in_config("preprocess", "std", value=[1, 1]), r"std\.2", id="std"),
        pytest.param(in_config("text", "templates", value=[]), "one {}", id="no template"),
        pytest.param(in_config("text", "templates", value=["a", "{}"]), "one {}", id="no {}"),
        pytest.param(
            in_config("calibration", "score_slope", value=float("nan")), "finite", id="not a number"
        ),
        pytest.param(
            in_config("text", "sha256", value="abc"), "words-8-.*trained with abc", id="text model"
        ),
        pytest.param(
            in_config("encoder", "dim", value=9), r"\(8, 1280\), expected \(9, 1280\)", id="size"
        ),
        pytest.param(
            in_config("encoder", "dim", value=10**9), r"expected \(1000000000, 1280\)", id="huge"
        ),
        pytest.param(
            in_config("encoder", "network", value="r2plus1d_18"),
            r"weights do not fit r2plus1d_18: .*\(32, 1, 3, 3\), expected nothing",
            id="other network",
        ),
        pytest.param(written("model.safetensors", b""), "cannot be read", id="empty weights"),
        pytest.param(written("model.safetensors", b"x" * 99), "cannot be read", id="noise"),
        pytest.param(cut_short, "cannot be read", id="cut short"),
        pytest.param(endless_header, "cannot be read", id="endless header"),
        pytest.param(a_folder, "cannot be read", id="a folder"),
        pytest.param(
            in_weights(LINEAR, None), r"linear\.weight is missing.*\(8, 1280\)", id="no head"
        ),
        pytest.param(
            in_weights(LINEAR, torch.zeros(8, 3)), r"\(8, 3\), expected \(8, 1280\)", id="shape"
        ),
        pytest.param(
            in_weights("network.more", torch.zeros(1)), r"\(1,\), expected nothing", id="too many"
        ),
        pytest.param(
            in_weights(LINEAR, torch.full((8, 1280), torch.nan)), "not finite", id="NaN weights"
        ),
        pytest.param(
            in_weights("text_mean", None), r"text_mean is missing, expected \(8,\)", id="no mean"
        ),
        pytest.param(
            in_weights("text_mean", torch.zeros(9)), r"\(9,\), expected \(8,\)", id="long mean"
        ),
        pytest.param(in_weights("background_bank", None), "bank is missing", id="no bank"),
        pytest.param(
            in_weights("background_bank", torch.zeros(5, 7)), r"\(5, 7\), expected", id="wide bank"
        ),
        pytest.param(
            in_weights("background_bank", torch.zeros(8)), r"\(8,\), expected", id="flat bank"
        ),
    ],
)
def test_the_error_of_a_damaged_checkpoint_says_what_was_found_and_expected(
    saved: Path, spoil: Spoil, said: str
) -> None:
    spoil(saved)
    with pytest.raises(CheckpointError, match=said):
        load(saved)


def test_the_text_model_must_have_the_networks_dimension(tmp_path: Path) -> None:
    save(tmp_path, replace(CONFIG, text=TextConfig()))
    with pytest.raises(CheckpointError, match=r"length 9, the encoder's 8"):
        load_checkpoint(tmp_path, text=WordVectors(9))


class UnusedTextEncoder:
    """A text model that must not be used before the rest of the checkpoint is checked."""

    @property
    def dim(self) -> int:
        raise AssertionError("used too early")

    model_hash = ""

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        raise AssertionError("used too early")


def test_cheap_checks_come_before_the_text_model(saved: Path) -> None:
    in_weights("text_mean", None)(saved)
    (saved / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError, match="text_mean"):
        load_checkpoint(saved, text=UnusedTextEncoder())
