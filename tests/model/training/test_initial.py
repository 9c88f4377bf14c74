"""A run starts with the weights that `--init` names, or fails with a reason."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models.video import r2plus1d_18

from model.checkpoint import CheckpointConfig, TextConfig, load_checkpoint, save_checkpoint
from model.encoder.networks import EncoderConfig
from model.errors import CheckpointError, LabelError
from model.text.labels import Label
from model.text.pretrained import DEFAULT_TEXT_MODEL, find_text_model
from model.text.sentence_encoder import SentenceTextEncoder
from model.text.source import CARRIED, carry_text_model, load_text_encoder
from model.text.tower import TextTower
from model.text.word_vectors import WordVectorEncoder
from model.training.config import OptimiserConfig, TrainConfig, as_document, from_document
from model.training.convert.import_model import import_model
from model.training.initial import adopt, initial_network
from model.training.resources import TrainingResources
from model.training.run import RunRequest, run
from tests.support.networks import lively_network
from tests.support.tiny_towers import MEAN, save_tiny, tiny_clip, tiny_siglip
from tests.support.training_tree import DIM, tiny_config, write_pictures
from tests.support.word_vectors import WordVectors

WEIGHTS = "r2plus1d_18-91a641e6.pth"
NAME = "R2Plus1D_18_Weights.KINETICS400_V1"


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of torch downloads with random weights."""
    folder = tmp_path_factory.mktemp("torch")
    (folder / "hub" / "checkpoints").mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        torch.save(r2plus1d_18(weights=None).state_dict(), folder / "hub" / "checkpoints" / WEIGHTS)
    return folder


def start(config: TrainConfig) -> Any:
    return initial_network(config, WordVectors(config.dim), np.zeros(config.dim, np.float32))


def video_config(init: str, **changes: Any) -> TrainConfig:
    return tiny_config(network="r2plus1d_18", init=init, **changes)


def test_torchvisions_weights_are_loaded_by_name_and_from_a_file(
    downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(downloads))
    file = downloads / "hub" / "checkpoints" / WEIGHTS
    expected = torch.load(file, weights_only=True)
    for init in (NAME, str(file)):
        found = start(video_config(init)).backbone.state_dict()
        assert found.keys() == expected.keys() - {"fc.weight", "fc.bias"}
        assert all(torch.equal(found[name], expected[name]) for name in found)


def test_weights_are_loaded_from_safetensors(downloads: Path, tmp_path: Path) -> None:
    state = torch.load(downloads / "hub" / "checkpoints" / WEIGHTS, weights_only=True)
    save_file(state, tmp_path / "weights.safetensors")
    found = start(video_config(str(tmp_path / "weights.safetensors"))).backbone.state_dict()
    assert torch.equal(found["stem.0.weight"], state["stem.0.weight"])


class Unexpected:
    """An object that a file of weights never contains."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"stem.0.weight": torch.zeros(3)}, r"do not fit: layer1.* is missing"),
        ({"weights": 7}, "holds more than weights"),
        (Unexpected(), "cannot be read: Weights only load failed"),
    ],
)
def test_a_file_without_weights_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=message):
        start(video_config(str(tmp_path / "weights.pth")))


@pytest.mark.parametrize("init", [NAME, "imagenet"])
def test_weights_of_another_network_are_refused(init: str) -> None:
    network = "r2plus1d_18" if init == "imagenet" else "efficientnet_lite0"
    with pytest.raises(CheckpointError, match=r"r2plus1d_18"):
        start(tiny_config(network=network, init=init))


def test_an_unknown_name_of_torchvision_is_refused() -> None:
    with pytest.raises(CheckpointError, match="KINETICS999"):
        start(video_config("R2Plus1D_18_Weights.KINETICS999"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with temporal shift, a word head and a normalisation of its own."""
    encoder = EncoderConfig("efficientnet_lite0", DIM, 0.25, 1000)
    config = CheckpointConfig(
        model_id="earlier",
        encoder=encoder,
        sampling=tiny_config().sampling,
        preprocess=replace(tiny_config().preprocess, mean=(0.1, 0.2, 0.3)),
        text=TextConfig("some/words"),
    )
    directory = tmp_path_factory.mktemp("earlier")
    zero, none = torch.zeros(DIM), torch.empty(0, DIM)
    network = lively_network(encoder)
    save_checkpoint(directory, config, network, text_mean=zero, bank=none, card="")
    return directory


def test_a_run_from_a_checkpoint_keeps_its_network_normalisation_and_words(
    checkpoint: Path, tmp_path: Path
) -> None:
    config, text_model = adopt(tiny_config(init=str(checkpoint)), tmp_path)
    network = start(config)

    assert text_model == "some/words"
    assert (config.shift_fraction, config.word_head) == (0.25, True)
    assert config.preprocess.mean == (0.1, 0.2, 0.3)
    stored = load_file(checkpoint / "model.safetensors")
    for name, value in network.state_dict().items():
        if name != "head.word_head.words":
            assert torch.equal(value.float(), stored[f"network.{name}"].float()), name
    # the names as this run's text model has them
    assert network.head.word_head.words.norm(dim=1).mean() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "r2plus1d_18"}, "holds efficientnet_lite0, this run trains r2plus1d_18"),
        ({"dim": 5}, "compares 16 numbers with words, this run's text model into 5"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    checkpoint: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        start(tiny_config(init=str(checkpoint), **changes))


def test_a_frozen_classifier_may_leave_the_word_head_out(checkpoint: Path) -> None:
    network = start(tiny_config(init=str(checkpoint)))
    assert network.head.word_head is None


@pytest.mark.parametrize("init", ["./nowhere", "/nowhere", "nowhere"])
def test_a_missing_checkpoint_is_an_error(tmp_path: Path, init: str) -> None:
    with pytest.raises(CheckpointError, match="is not a directory"):
        adopt(tiny_config(init=init), tmp_path)


@pytest.fixture(params=["model", "checkpoint"])
def tower(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """What `--init` names, and the same as an imported checkpoint."""
    source = save_tiny(tiny_clip(), tmp_path / "tiny-clip")
    imported = import_model(str(source), tmp_path / "imported", command="")
    return str(source if request.param == "model" else imported), imported


def test_an_image_text_model_is_fine_tuned_in_its_own_space(
    tower: tuple[str, Path], tmp_path: Path
) -> None:
    """With rates of zero the run ships its initial weights, otherwise weights near them."""
    init, imported = tower
    manifest = write_pictures(tmp_path / "pictures")
    still = OptimiserConfig(backbone_rate=0.0, head_rate=0.0, weight_decay=0.0)
    moving = OptimiserConfig(backbone_rate=1e-3, head_rate=1e-3, frozen_blocks=1)
    pixels = torch.randn(2, 1, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = load_checkpoint(imported)
    likeness = {}
    for name, optimiser in (("still", still), ("moving", moving)):
        config = tiny_config(init=init, optimiser=optimiser, word_head=True, steps=3)
        request = RunRequest(config, (manifest,), tmp_path / name, ("kinolex",))
        shipped = run(request, TrainingResources(log=lambda _: None))
        assert shipped is not None
        after = load_checkpoint(shipped)
        assert isinstance(after.text, TextTower)
        assert after.text.model_hash == before.text.model_hash
        assert after.preprocess == before.preprocess
        assert after.preprocess.mean == MEAN
        assert len(after.calibration.bank) == 16
        both = after.encoder.encode(pixels), before.encoder.encode(pixels)
        likeness[name] = float((both[0] * both[1]).sum(axis=1).min())
    assert likeness["still"] > 1 - 1e-5
    assert 0.2 < likeness["moving"] < 1 - 1e-4
    card = (tmp_path / "moving" / "checkpoint" / "README.md").read_text()
    assert "not zero-shot in the sense of Brattoli et al." in card
    assert "EfficientNet" not in card


def test_a_run_in_the_space_of_word_vectors_takes_them_along(tmp_path: Path) -> None:
    manifest = write_pictures(tmp_path / "pictures")
    file = tmp_path / "vectors.txt"
    file.write_text("red 1 0 0 0\ngreen 0 1 0 0\nblue 0 0 1 0\nyellow 1 1 0 0\nwall 0 0 0 1\n")
    config = tiny_config(steps=1)
    request = RunRequest(
        config, (manifest,), tmp_path / "run", ("kinolex", "train"), text_model=str(file)
    )
    shipped = run(request, TrainingResources())
    assert shipped is not None
    file.unlink()

    tagger = load_checkpoint(shipped)
    assert tagger.encoder.dim == 4
    assert isinstance(tagger.text, WordVectorEncoder)
    with pytest.raises(LabelError, match="'lamp'"):
        tagger.index([Label("red lamp")])


def test_a_run_in_the_space_of_a_folder_takes_what_is_not_pickled(tmp_path: Path) -> None:
    text = find_text_model(DEFAULT_TEXT_MODEL)
    assert isinstance(text, Path)
    shutil.copytree(text, tmp_path / "minilm")
    (tmp_path / "minilm" / "pytorch_model.bin").write_bytes(b"pickled")
    encoder = SentenceTextEncoder(str(tmp_path / "minilm"))

    assert carry_text_model(str(tmp_path / "minilm"), encoder, tmp_path / "out") == CARRIED
    assert not list((tmp_path / "out").rglob("*.bin"))
    carried = load_text_encoder(CARRIED, checkpoint=tmp_path / "out")
    assert carried.model_hash == encoder.model_hash


def test_a_continued_run_does_not_import_again(tmp_path: Path) -> None:
    source = save_tiny(tiny_clip(), tmp_path / "tiny-clip")
    other = save_tiny(tiny_siglip(), tmp_path / "tiny-siglip")
    first, text_model = adopt(tiny_config(init=str(source)), tmp_path / "run")
    assert text_model == str(tmp_path / "run" / "init" / "text")
    changed = (tmp_path / "run" / "init" / "config.json").stat().st_mtime_ns

    assert adopt(tiny_config(init=str(source)), tmp_path / "run") == (first, text_model)
    assert (tmp_path / "run" / "init" / "config.json").stat().st_mtime_ns == changed
    assert from_document(as_document(first)) == first
    with pytest.raises(CheckpointError, match=r"was imported from .*tiny-clip; choose another"):
        adopt(tiny_config(init=str(other)), tmp_path / "run")
