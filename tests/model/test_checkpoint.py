"""Checkpoints: loaded as they were saved, or refused with what is wrong."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model import Label, Tagger
from model.calibration import CalibrationConfig
from model.checkpoint import (
    CheckpointConfig,
    TextConfig,
    load_checkpoint,
    read_config,
    save_checkpoint,
)
from model.encoder.networks import EncoderConfig
from model.encoder.preprocess import PreprocessConfig
from model.encoder.torch_encoder import TorchEncoder
from model.errors import CheckpointError
from model.text.knowledge import Knowledge
from model.video.sampling import SamplingConfig
from tests.support.networks import lively_network
from tests.support.word_vectors import WordVectors

DIM = 8
CONFIG = CheckpointConfig(
    model_id="tiny",
    encoder=EncoderConfig("efficientnet_lite0", DIM, shift_fraction=0.25, vocabulary=3),
    sampling=SamplingConfig(2, 4, "consecutive"),
    preprocess=PreprocessConfig(40, 32, 1.5, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
    text=TextConfig("somewhere/words", f"words-{DIM}-", ("{}", "a video of {}")),
    calibration=CalibrationConfig(2.0, -1.0, -4.5, 0.25, 0.5, 0.75, 0.1, 0.5, "nine clips"),
    provenance={"command": "kinolex train", "figures": {"top1": [0.5, 0.4, 0.6]}},
)
TEXT_MEAN = torch.linspace(-0.5, 0.5, DIM)
BANK = torch.nn.functional.normalize(torch.arange(5.0 * DIM).reshape(5, DIM).cos(), dim=-1)
Spoil = Callable[[Path], None]


def save(directory: Path, config: CheckpointConfig = CONFIG, **changes: Any) -> Path:
    network = lively_network(CONFIG.encoder)
    parts: dict[str, Any] = {"text_mean": TEXT_MEAN, "bank": BANK, "card": "# Tiny ✓\n"} | changes
    save_checkpoint(directory, config, network, **parts)
    return directory


def load(name_or_path: str | Path) -> Tagger:
    # the tests change files on purpose
    (Path(name_or_path) / "SHA256SUMS").unlink(missing_ok=True)
    return load_checkpoint(name_or_path, text=WordVectors(DIM))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path / "checkpoint")


def pixels() -> torch.Tensor:
    return torch.randn(2, 2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_a_loaded_network_embeds_as_the_saved_one(saved: Path) -> None:
    tagger = load(saved)

    network = lively_network(CONFIG.encoder)
    exact = TorchEncoder(network, DIM).encode(pixels())
    stored = TorchEncoder(network.half().float(), DIM).encode(pixels())
    found = tagger.encoder.encode(pixels())
    np.testing.assert_allclose(found, stored, atol=1e-6)
    assert (found * exact).sum(axis=1).min() > 0.999


def test_the_whole_configuration_is_loaded_as_it_was_saved(saved: Path) -> None:
    tagger = load(saved)

    assert read_config(saved) == CONFIG
    assert (tagger.model_id, tagger.templates) == ("tiny", ("{}", "a video of {}"))
    assert (tagger.sampling, tagger.preprocess) == (CONFIG.sampling, CONFIG.preprocess)
    assert tagger.calibration.config == CONFIG.calibration
    np.testing.assert_array_equal(tagger.text_mean, TEXT_MEAN.half().float().numpy())
    np.testing.assert_array_equal(tagger.calibration.bank, BANK.half().float().numpy())
    assert tagger.text_mean.dtype == tagger.calibration.bank.dtype == np.float32
    [[hit]] = tagger.index([Label("cello")]).search(tagger.encoder.encode(pixels()[:1]), 1)
    assert hit.name == "cello"


def test_reference_actions_are_loaded_as_they_were_saved(tmp_path: Path) -> None:
    reference = BANK[:3].flip(1).contiguous()
    tagger = load(save(tmp_path, reference=reference))
    np.testing.assert_array_equal(tagger.calibration.reference, reference.half().float().numpy())
    assert load(save(tmp_path)).calibration.reference.shape == (0, DIM)


EVIDENT = EncoderConfig("efficientnet_lite0", DIM + 4, vocabulary=3, evidence_dim=3)
KNOWLEDGE = Knowledge(
    phrases=BANK[:4].numpy(),
    starts=np.array([0, 1, 3, 4]),
    projection=np.eye(3, dtype=np.float32),
    typical=np.array([0.5, 0.25, 0.125], np.float32),
    direct_share=0.75,
)


def save_evident(directory: Path, **changes: Any) -> Path:
    """Write a checkpoint with evidence and knowledge."""
    config = replace(CONFIG, encoder=EVIDENT)
    bank = torch.nn.functional.normalize(torch.arange(5.0 * EVIDENT.dim).reshape(5, -1).cos())
    parts: dict[str, Any] = {"text_mean": TEXT_MEAN, "bank": bank, "knowledge": KNOWLEDGE} | changes
    network = lively_network(EVIDENT)
    save_checkpoint(directory, config, network, card="", texts={"seen.tsv": "cello\t-\n"}, **parts)
    return directory


def test_knowledge_is_loaded_as_it_was_saved_with_its_texts(tmp_path: Path) -> None:
    tagger = load(save_evident(tmp_path))

    assert (tmp_path / "knowledge" / "seen.tsv").read_text() == "cello\t-\n"
    assert read_config(tmp_path).direct_share == 0.75
    assert tagger.knowledge is not None
    stored = replace(KNOWLEDGE, phrases=BANK[:4].half().float().numpy())
    assert tagger.knowledge.digest == stored.digest
    [[vector]] = (made.vectors for made in tagger.prototypes([Label("cello")]))
    assert vector.shape == (EVIDENT.dim,)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    [[hit]] = tagger.index([Label("cello")]).search(tagger.encoder.encode(pixels()[:1]), 1)
    assert hit.name == "cello"


@pytest.mark.parametrize(
    ("changes", "spoiled", "said"),
    [
        ({"bank": torch.empty(0, EVIDENT.dim)}, None, "a background bank"),
        ({}, ("knowledge.phrases", None), "knowledge.phrases is missing"),
        ({}, ("knowledge.typical", torch.zeros(4)), r"typical is \(4,\), expected \(3,\)"),
        ({}, ("knowledge.starts", torch.tensor([0, 1, 1, 4])), "every class must have a phrase"),
        ({"reference": torch.zeros(2, DIM)}, None, r"reference is \(2, 8\), expected"),
    ],
    ids=["no bank", "no phrases", "other classes", "an empty class", "short reference"],
)
def test_knowledge_that_does_not_fit_is_refused(
    tmp_path: Path,
    changes: dict[str, Any],
    spoiled: tuple[str, torch.Tensor | None] | None,
    said: str,
) -> None:
    save_evident(tmp_path, **changes)
    if spoiled is not None:
        in_weights(*spoiled)(tmp_path)
    with pytest.raises(CheckpointError, match=said):
        load(tmp_path)


def version_1(directory: Path, unknown_limit: float, rate: float | None) -> None:
    """Rewrite a checkpoint's configuration as that of format version 1."""
    file = directory / "config.json"
    document = json.loads(file.read_text())
    document["format_version"] = 1
    del document["direct_share"], document["encoder"]["evidence_dim"]
    document["calibration"] = {
        "score_slope": 1.75,
        "score_bias": -2.0,
        "unknown_slope": 1.5,
        "unknown_bias": 1.25,
        "unknown_limit": unknown_limit,
        "unknown_false_positive_rate": rate,
        "nearest_share": 0.5,
    }
    file.write_text(json.dumps(document))


def test_version_1_keeps_its_scores_and_loses_the_limit_of_another_unknown(saved: Path) -> None:
    version_1(saved, 0.875, 0.05)
    assert load(saved).calibration.config == CalibrationConfig(1.75, -2.0, nearest_share=0.5)


def test_version_1_keeps_the_limit_that_no_video_exceeds(saved: Path) -> None:
    version_1(saved, 1.0, 0.0)
    config = load(saved).calibration.config
    assert (config.unknown_limit, config.unknown_false_positive_rate) == (1.0, 0.0)


def test_version_1_may_have_no_calibration(saved: Path) -> None:
    version_1(saved, 1.0, 0.0)
    in_config("calibration", remove=True)(saved)
    assert load(saved).calibration.config == CalibrationConfig()


def test_a_checkpoint_is_four_files_readable_by_all_users(saved: Path) -> None:
    assert {file.name for file in saved.iterdir()} == {
        "README.md",
        "SHA256SUMS",
        "config.json",
        "model.safetensors",
    }
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in saved.iterdir())
    assert (saved / "README.md").read_bytes() == "# Tiny ✓\n".encode()


def test_weights_take_two_bytes_each(saved: Path) -> None:
    network = lively_network(CONFIG.encoder)
    floats = sum(value.numel() for value in network.state_dict().values()) + 6 * DIM
    size = (saved / "model.safetensors").stat().st_size
    assert 2 * floats < size < 2.05 * floats
    stored = load_file(saved / "model.safetensors").values()
    assert {value.dtype for value in stored} == {torch.float16, torch.int64}


def test_nothing_is_saved_where_a_number_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="text_mean contains values that are not finite"):
        save(tmp_path / "new", text_mean=torch.full((DIM,), 1e6))
    assert not (tmp_path / "new").exists()


def test_the_revision_depends_on_weights_and_configuration(tmp_path: Path) -> None:
    def revision(name: str, config: CheckpointConfig = CONFIG, **changes: Any) -> str:
        return load(save(tmp_path / name, config, **changes)).revision

    first = revision("first")
    assert len(first) == 12
    assert revision("same") == first
    assert revision("card", card="# Another card") == first
    assert revision("bank", bank=BANK[:4]) != first
    changed = replace(CONFIG, calibration=CalibrationConfig(score_bias=-2.0))
    assert revision("scores", changed) != first


def test_saving_over_a_checkpoint_changes_no_loaded_tagger(saved: Path) -> None:
    tagger = load(saved)
    before = tagger.encoder.encode(pixels())
    bank = tagger.calibration.bank.copy()

    save(saved, text_mean=-TEXT_MEAN, bank=-BANK)

    np.testing.assert_array_equal(tagger.encoder.encode(pixels()), before)
    np.testing.assert_array_equal(tagger.calibration.bank, bank)
    np.testing.assert_array_equal(load(saved).calibration.bank, -bank)


def in_config(*path: str, value: Any = None, remove: bool = False) -> Spoil:
    def spoil(directory: Path) -> None:
        file = directory / "config.json"
        document = section = json.loads(file.read_text())
        for key in path[:-1]:
            section = section[key]
        if remove:
            del section[path[-1]]
        else:
            section[path[-1]] = value
        file.write_text(json.dumps(document))

    return spoil


def in_weights(name: str, value: torch.Tensor | None) -> Spoil:
    def spoil(directory: Path) -> None:
        file = directory / "model.safetensors"
        tensors = load_file(file)
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value
        save_file({key: tensor.clone() for key, tensor in tensors.items()}, file)

    return spoil


@pytest.mark.parametrize("missing", ["./nowhere", "/nowhere/at/all", Path("nowhere")])
def test_a_path_that_is_no_directory_is_refused_without_the_hub(missing: str | Path) -> None:
    with pytest.raises(CheckpointError, match="is not a directory"):
        load(missing)


@pytest.fixture
def offline_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of a Hub client that has no network."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


def in_cache(cache: Path, organisation: str, name: str) -> Path:
    """Return the folder in which the Hub's client stores a model's newest snapshot."""
    folder = cache / f"models--{organisation}--{name}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    return folder / "snapshots" / ("a" * 40)


def test_a_hub_id_loads_the_newest_snapshot(offline_hub: Path) -> None:
    save(in_cache(offline_hub, "someone", "tiny"))

    tagger = load("someone/tiny")

    assert tagger.model_id == "tiny"
    assert tagger.encoder.encode(pixels()).shape == (2, DIM)


@pytest.mark.parametrize("name", ["someone/missing", "three/part/name", "no such name!"])
def test_an_unknown_hub_id_is_a_checkpoint_error(offline_hub: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"not a directory|cannot be reached"):
        load(name)


def test_half_a_snapshot_is_a_damaged_checkpoint(offline_hub: Path) -> None:
    (save(in_cache(offline_hub, "someone", "half")) / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load("someone/half")


def test_the_configuration_is_plain_json_with_its_version_first(saved: Path) -> None:
    document = json.loads((saved / "config.json").read_bytes())
    assert next(iter(document.items())) == ("format_version", 2)
    assert document["encoder"] == asdict(CONFIG.encoder)
    assert document["preprocess"]["mean"] == [0.1, 0.2, 0.3]
