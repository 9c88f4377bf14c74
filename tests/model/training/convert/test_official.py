"""A converted checkpoint gives the official code's output; nothing else is unpickled."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.video import r2plus1d_18

from model.checkpoint import load_checkpoint, read_config
from model.errors import CheckpointError, LabelError
from model.training.convert.official import convert, network_from_official, read_official

DIM = 300


class OfficialNetwork(nn.Module):
    """What the official network does: (B, clips, 3, T, H, W) to (B, 300).

    torchvision's children but the classifier in one sequence, clips averaged, dropout, one linear
    layer, unit length.
    """

    def __init__(self) -> None:
        super().__init__()
        parts = list(r2plus1d_18(weights=None).children())
        self.regressor = nn.Linear(parts[-1].in_features, DIM)
        self.dropout = nn.Dropout(p=0.05)
        self.model = nn.Sequential(*parts[:-1])

    def forward(self, clips: Tensor) -> Tensor:
        features = self.model(clips.flatten(0, 1)).flatten(1)
        averaged = features.reshape(*clips.shape[:2], -1).mean(1)
        return functional.normalize(self.regressor(self.dropout(averaged)))


@pytest.fixture(scope="module")
def official() -> OfficialNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = OfficialNetwork()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm3d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0.0, 0.1)
                module.running_var.uniform_(0.5, 2.0)
        return network.half().float().eval()


def content_of(network: OfficialNetwork, **changes: Any) -> dict[str, Any]:
    options = argparse.Namespace(
        dataset="kinetics2both",
        network="r2plus1d_18",
        class_overlap=0.05,
        lr=0.001,
        bs=22,
        fixconvs=False,
        weights=None,
        device=torch.device("cuda"),
    )
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    return {"state_dict": state, "opt": options, "accuracy": np.float64(37.6)} | changes


@pytest.fixture(scope="module")
def file(official: OfficialNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("official") / "checkpoint.pth.tar"
    torch.save(content_of(official), path)
    return path


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).standard_normal((4, DIM)).round(3)
    lines = [
        f"{word} {' '.join(map(str, row))}"
        for word, row in zip(("riding", "horse", "juggling", "cello"), rows, strict=True)
    ]
    (tmp_path / "vectors.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "vectors.txt"


def clips(batch: int = 2, count: int = 3) -> Tensor:
    """(B, N, T, 3, H, W), smaller than the real ones."""
    return torch.randn(batch, count, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_same_weights_give_the_same_output(official: OfficialNetwork, file: Path) -> None:
    ours = network_from_official(read_official(file)["state_dict"])
    pixels = clips()
    with torch.no_grad():
        theirs = official(pixels.transpose(2, 3))
        torch.testing.assert_close(ours(pixels), theirs, atol=1e-6, rtol=0)


def test_a_file_as_torch_and_numpy_wrote_it_in_2020_is_read(tmp_path: Path) -> None:
    """Without a zip archive, and with the module names of NumPy 1."""
    content = content_of(nn.Linear(2, 3))  # type: ignore[arg-type]  # any weights will do
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(content, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"numpy.core.multiarray" in path.read_bytes()

    found = read_official(path)
    assert torch.equal(found["state_dict"]["module.weight"], content["state_dict"]["module.weight"])
    assert found["accuracy"] == 37.6
    assert found["opt"].bs == 22


def test_the_converted_checkpoint_gives_the_same_output_in_the_space_of_the_words(
    official: OfficialNetwork, file: Path, vectors: Path, tmp_path: Path
) -> None:
    out = convert(file, str(vectors), tmp_path / "out", command="kinolex checkpoint convert")
    tagger = load_checkpoint(out)
    with torch.no_grad():
        theirs = official(clips().transpose(2, 3)).numpy()
    np.testing.assert_allclose(tagger.encoder.encode(clips()), theirs, atol=1e-5)

    config = read_config(out)
    assert (config.sampling.frames_per_clip, config.sampling.spacing) == (16, "consecutive")
    assert (config.preprocess.short_side, config.preprocess.crop_side) == (128, 112)
    assert config.preprocess.mean == (0.43216, 0.394666, 0.37645)
    assert config.preprocess.std == (0.22803, 0.22145, 0.216989)
    assert config.provenance["accuracy"] == 37.6
    assert config.provenance["options"]["dataset"] == "kinetics2both"

    vectors.unlink()
    text = load_checkpoint(out).text
    assert text.encode(["riding a horse"]).shape == (1, DIM)
    with pytest.raises(LabelError, match="'unicycle'"):
        text.encode(["riding a unicycle"])


class Unexpected:
    """An object that such a file never contains."""


def with_options(**more: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: vars(content["opt"]).update(more)


def without_weight(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["state_dict"].pop(name)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(with_options(hook=Unexpected()), "Weights only load failed", id="an object"),
        pytest.param(with_options(hook=print), "Weights only load failed", id="a function"),
        pytest.param(lambda c: c.update(optimizer={}), "holds .*'optimizer'", id="more"),
        pytest.param(lambda c: c.pop("opt"), "expected .*'opt'", id="less"),
        pytest.param(lambda c: c.update(accuracy="good"), "another kind", id="accuracy"),
        pytest.param(lambda c: c.update(opt={}), "another kind", id="options"),
        pytest.param(
            lambda c: c["state_dict"].update(epoch=3), "more than weights", id="no weight"
        ),
        pytest.param(
            without_weight("module.regressor.bias"), "head.linear.bias is missing", id="no bias"
        ),
        pytest.param(
            lambda c: c["state_dict"].update({"module.fc8.bias": torch.zeros(3)}),
            r"fc8.bias is \(3,\), expected nothing",
            id="another network",
        ),
        pytest.param(
            lambda c: c["state_dict"].update({"module.model.0.0.weight": torch.zeros(3)}),
            r"stem.0.weight is \(3,\), expected \(45, 3, 1, 7, 7\)",
            id="another size",
        ),
    ],
)
def test_a_file_with_anything_else_in_it_is_refused(
    official: OfficialNetwork,
    vectors: Path,
    tmp_path: Path,
    spoil: Callable[[dict[str, Any]], Any],
    message: str,
) -> None:
    content = content_of(official)
    spoil(content)
    torch.save(content, tmp_path / "checkpoint.pth.tar")
    with pytest.raises(CheckpointError, match=message):
        convert(tmp_path / "checkpoint.pth.tar", str(vectors), tmp_path / "out", command="")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"x" * 99, b"PK\x03\x04" + b"\0" * 40, None])
def test_a_file_that_torch_did_not_write_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint of the official code"):
        read_official(path)


def test_word_vectors_of_another_length_are_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("horse 1 2 3\n")
    with pytest.raises(CheckpointError, match=r"length 3, the network in .* of 300"):
        convert(file, str(tmp_path / "short.txt"), tmp_path / "out", command="")
