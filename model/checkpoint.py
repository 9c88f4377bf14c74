"""A checkpoint directory to a Tagger and back.

    config.json         everything but numbers in bulk: network, sampling, pixels, words, scores
    model.safetensors   weights in fp16, the text mean and the background bank
    README.md           the model card

The layout is one that the Hugging Face Hub hosts as it is. No pickle is read or written.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.calibration import Calibration, CalibrationConfig
from model.encoder import EncoderConfig, Network, TorchEncoder, build_network
from model.errors import CheckpointError
from model.preprocess import PreprocessConfig
from model.sampling import SamplingConfig
from model.tagger import Tagger
from model.text import DEFAULT_TEXT_MODEL, SentenceTextEncoder, TextEncoder

DEFAULT_CHECKPOINT = Path(__file__).parent / "default_checkpoint"
FORMAT_VERSION = 1
_CONFIG, _WEIGHTS, _CARD = "config.json", "model.safetensors", "README.md"
_NETWORK_PREFIX, _TEXT_MEAN, _BANK = "network.", "text_mean", "background_bank"


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The text space: a sentence-transformers model by name or path, its weights' sha256, prompts.

    Each of `templates` has one `{}` for the label.
    """

    model: str = DEFAULT_TEXT_MODEL
    sha256: str = ""
    templates: tuple[str, ...] = ("{}",)


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """What config.json holds. `provenance` is free: data, command, commit, figures."""

    model_id: str
    encoder: EncoderConfig
    sampling: SamplingConfig
    preprocess: PreprocessConfig
    text: TextConfig
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(
    directory: Path,
    config: CheckpointConfig,
    network: Network,
    *,
    text_mean: Tensor,
    bank: Tensor,
    card: str,
) -> None:
    """Write a checkpoint; `text_mean` is (dim,), `bank` (M, dim). Floats are stored as fp16."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {_NETWORK_PREFIX + name: value for name, value in network.state_dict().items()}
    tensors |= {_TEXT_MEAN: text_mean, _BANK: bank}
    save_file(
        {name: _to_storage(value) for name, value in tensors.items()},
        directory / _WEIGHTS,
        metadata={"format": "pt"},
    )
    # safetensors writes for its owner alone; a service runs as somebody else
    (directory / _WEIGHTS).chmod(0o644)
    document = {"format_version": FORMAT_VERSION, **asdict(config)}
    (directory / _CONFIG).write_text(json.dumps(document, indent=2, default=list) + "\n")
    (directory / _CARD).write_text(card)


def _to_storage(value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    return value.half() if value.is_floating_point() else value


def load_checkpoint(
    name_or_path: str | Path = DEFAULT_CHECKPOINT,
    *,
    device: str = "cpu",
    text: TextEncoder | None = None,
) -> Tagger:
    """A Tagger from a directory or a Hugging Face Hub id.

    The text model is loaded too unless `text` gives one. Raises CheckpointError when something is
    missing, damaged, of another format version, or does not fit together.
    """
    directory = _find(name_or_path)
    config = read_config(directory)
    tensors = _read_tensors(directory)
    network = network_from(config.encoder, tensors)
    text = text or SentenceTextEncoder(config.text.model)
    if text.dim != config.encoder.dim:
        raise CheckpointError(
            f"the text model's vectors have length {text.dim}, the encoder's {config.encoder.dim}"
        )
    if config.text.sha256 and text.model_hash != config.text.sha256:
        raise CheckpointError(
            f"text model {config.text.model} has sha256 {text.model_hash}, "
            f"the checkpoint was trained with {config.text.sha256}"
        )
    return Tagger(
        encoder=TorchEncoder(network, config.encoder.dim, device=device),
        text=text,
        templates=config.text.templates,
        text_mean=_array(tensors, _TEXT_MEAN),
        preprocess=config.preprocess,
        sampling=config.sampling,
        calibration=Calibration(config.calibration, _array(tensors, _BANK)),
        model_id=config.model_id,
        revision=_revision(directory),
        device=device,
    )


def read_config(directory: Path) -> CheckpointConfig:
    """The checked contents of config.json. Raises CheckpointError."""
    try:
        document = json.loads((directory / _CONFIG).read_text())
        version = document.pop("format_version")
        if version != FORMAT_VERSION:
            raise CheckpointError(f"format version {version}, this code reads {FORMAT_VERSION}")
        preprocess, text = document["preprocess"], document["text"]
        return CheckpointConfig(
            model_id=document["model_id"],
            encoder=EncoderConfig(**document["encoder"]),
            sampling=SamplingConfig(**document["sampling"]),
            preprocess=PreprocessConfig(
                **{**preprocess, "mean": tuple(preprocess["mean"]), "std": tuple(preprocess["std"])}
            ),
            text=TextConfig(**{**text, "templates": tuple(text["templates"])}),
            calibration=CalibrationConfig(**document["calibration"]),
            provenance=document["provenance"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{directory / _CONFIG} cannot be read: {error}") from error


def network_from(config: EncoderConfig, tensors: Mapping[str, Tensor]) -> Network:
    """The network with a checkpoint's weights, in fp32. Raises CheckpointError on a misfit."""
    network = build_network(config)
    state = {
        name.removeprefix(_NETWORK_PREFIX): value
        for name, value in tensors.items()
        if name.startswith(_NETWORK_PREFIX)
    }
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"the weights do not fit {config.network}: {error}") from error
    return network


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if isinstance(name_or_path, Path) or path.is_absolute() or name_or_path.startswith("."):
        raise CheckpointError(f"{name_or_path} is not a directory")
    # only a Hub id needs the hub's client
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name_or_path, allow_patterns=[_CONFIG, _WEIGHTS, _CARD]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{name_or_path} is neither a directory nor a model on the Hub: {error}"
        ) from error


def _read_tensors(directory: Path) -> dict[str, Tensor]:
    try:
        return load_file(directory / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{directory / _WEIGHTS} cannot be read: {error}") from error


def _array(tensors: Mapping[str, Tensor], name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    if name not in tensors:
        raise CheckpointError(f"{_WEIGHTS} holds no tensor {name!r}")
    return tensors[name].to(torch.float32).numpy()


def _revision(directory: Path) -> str:
    """First 12 hex digits of the weights' sha256."""
    with (directory / _WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
