"""Save a checkpoint directory, and load it as a Tagger.

    config.json         configuration of network, sampling, preprocessing, text and calibration
    model.safetensors   weights in float16, the text mean and the background bank
    README.md           the model card
    text/               the text model, where the checkpoint contains its own

The Hugging Face Hub can host such a directory unchanged. No pickle is read or written.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from model.calibration import Calibration, CalibrationConfig
from model.encoder.networks import EncoderConfig, Network, build_network
from model.encoder.preprocess import PreprocessConfig
from model.encoder.torch_encoder import TorchEncoder
from model.errors import CheckpointError
from model.tagger import Tagger
from model.text.pretrained import DEFAULT_TEXT_MODEL
from model.text.replacement import load_text_instead
from model.text.source import TEXT_FOLDER, load_text_encoder
from model.text.text_encoder import TextEncoder
from model.video.sampling import SamplingConfig

DEFAULT_CHECKPOINT = Path(__file__).parent / "default_checkpoint"
FORMAT_VERSION = 1
_CONFIG, _WEIGHTS, _CARD = "config.json", "model.safetensors", "README.md"
_NETWORK_PREFIX, _TEXT_MEAN, _BANK = "network.", "text_mean", "background_bank"


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The text model and the prompt templates.

    `model` is a sentence-transformers model by name or path; `./text` is the checkpoint's own
    folder (see `model.text.source`). `sha256` is the expected digest of its weights; an empty one
    accepts any. Each of `templates` contains `{}` once, for the label. Raises ValueError otherwise.
    """

    model: str = DEFAULT_TEXT_MODEL
    sha256: str = ""
    templates: tuple[str, ...] = ("{}",)

    def __post_init__(self) -> None:
        if not self.templates or any(each.count("{}") != 1 for each in self.templates):
            raise ValueError(
                f"there must be templates, and each must contain one {{}}, not {self.templates}"
            )


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """Contents of config.json. `provenance` has no fixed keys: data, command, commit, figures."""

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
    """Write a checkpoint. `text_mean` is (dim,), `bank` (M, dim); `card` is the model card.

    Floats are stored as float16. Raises ValueError where a number is too large for that; nothing is
    written then.
    """
    tensors = {_NETWORK_PREFIX + name: value for name, value in network.state_dict().items()}
    tensors |= {_TEXT_MEAN: text_mean, _BANK: bank}
    stored = {name: _to_storage(name, value) for name, value in tensors.items()}
    document = {"format_version": FORMAT_VERSION, **asdict(config)}
    directory.mkdir(parents=True, exist_ok=True)
    _replace(directory / _WEIGHTS, save(stored, metadata={"format": "pt"}))
    _replace(directory / _CONFIG, json.dumps(document, indent=2).encode() + b"\n")
    _replace(directory / _CARD, card.encode())


def _to_storage(name: str, value: Tensor) -> Tensor:
    stored = value.detach().cpu().contiguous()
    stored = stored.half() if stored.is_floating_point() else stored
    if not stored.isfinite().all():
        raise ValueError(f"{name} contains values that are not finite in float16")
    return stored


def _replace(path: Path, content: bytes) -> None:
    """Replace a file atomically: a service may have the old one mapped into its memory."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def load_checkpoint(
    name_or_path: str | Path = DEFAULT_CHECKPOINT,
    *,
    device: str = "cpu",
    text: TextEncoder | None = None,
    text_model: str = "",
) -> Tagger:
    """Load a Tagger from a directory or a Hugging Face Hub id.

    `text` replaces loading the checkpoint's text model. `text_model` names another text model that
    shares its text space, because it was distilled from it. Raises CheckpointError where a file is
    missing, damaged or of another format version, or where two of them do not fit together.
    """
    directory = find_checkpoint(name_or_path)
    config = read_config(directory)
    tensors = _read_tensors(directory / _WEIGHTS)
    dim = config.encoder.dim
    network = network_from(config.encoder, tensors)
    text_mean = _array(tensors, _TEXT_MEAN, (dim,))
    bank = _array(tensors, _BANK, (None, dim))
    text = text or load_text_encoder(config.text.model, checkpoint=directory)
    if text.dim != dim:
        raise CheckpointError(
            f"the text model's vectors have length {text.dim}, the encoder's {dim}; use the text "
            f"model that the checkpoint was trained with, {config.text.model}"
        )
    if config.text.sha256 and text.model_hash != config.text.sha256:
        raise CheckpointError(
            f"text model {config.text.model} has sha256 {text.model_hash}, "
            f"the checkpoint was trained with {config.text.sha256}"
        )
    if text_model:
        text = load_text_instead(text_model, text)
    return Tagger(
        encoder=TorchEncoder(network, dim, device=device),
        text=text,
        templates=config.text.templates,
        text_mean=text_mean,
        preprocess=config.preprocess,
        sampling=config.sampling,
        calibration=Calibration(config.calibration, bank),
        model_id=config.model_id,
        revision=_revision(directory),
        device=device,
    )


def read_config(directory: Path) -> CheckpointConfig:
    """Read and check config.json. Raises CheckpointError."""
    path = directory / _CONFIG
    try:
        document = from_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    version = document.pop("format_version", None) if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}, this code reads {FORMAT_VERSION}"
        )
    try:
        return TypeAdapter(CheckpointConfig).validate_python(document, extra="forbid")
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, found {fault['input']!r:.80}"
            for fault in error.errors(include_url=False)
        )
        raise CheckpointError(f"{path} is not valid: {faults}") from error


def network_from(config: EncoderConfig, tensors: Mapping[str, Tensor]) -> Network:
    """Build a network with a checkpoint's weights in float32.

    Raises CheckpointError where names or shapes differ.
    """
    # On the meta device, which allocates no memory: a damaged config may ask for any size.
    with torch.device("meta"):
        network = build_network(config)
    state = {
        name.removeprefix(_NETWORK_PREFIX): value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
        if name.startswith(_NETWORK_PREFIX)
    }
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    misfits = [
        f"{name} is {found.get(name, 'missing')}, expected {wanted.get(name, 'nothing')}"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]
    if misfits:
        raise CheckpointError(
            f"{len(misfits)} weights do not fit {config.network}: {'; '.join(misfits[:3])}"
        )
    network.load_state_dict(state, assign=True)
    return network


def find_checkpoint(name_or_path: str | Path) -> Path:
    """Find a checkpoint's directory; a Hub id is downloaded. Raises CheckpointError."""
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if isinstance(name_or_path, Path) or path.is_absolute() or name_or_path.startswith("."):
        raise CheckpointError(f"{name_or_path} is not a directory; give a checkpoint's folder")
    # Only a Hub id needs the Hub's client.
    from huggingface_hub import snapshot_download

    try:
        files = [_CONFIG, _WEIGHTS, _CARD, f"{TEXT_FOLDER}/*"]
        return Path(snapshot_download(name_or_path, allow_patterns=files))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name_or_path} is neither a directory nor a model on the Hub: {error}"
        ) from error


def is_checkpoint(directory: Path) -> bool:
    """Whether a directory contains the config.json of a Kinolex checkpoint."""
    try:
        document = from_json((directory / _CONFIG).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "format_version" in document


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise CheckpointError(f"{path} is damaged: {name} contains values that are not finite")
    return tensors


def _array(
    tensors: Mapping[str, Tensor], name: str, shape: tuple[int | None, ...]
) -> npt.NDArray[np.float32]:
    """Return a tensor of this shape as float32; None fits any length. Raises CheckpointError."""
    found = tuple(tensors[name].shape) if name in tensors else ()
    fits = [want in (None, have) for want, have in zip(shape, found, strict=False)]
    if len(found) != len(shape) or not all(fits):
        raise CheckpointError(f"{_WEIGHTS}: {name} is {found or 'missing'}, expected {shape}")
    return tensors[name].to(torch.float32).numpy()


def _revision(directory: Path) -> str:
    """Return the first 12 hex digits of a SHA-256 over weights and config."""
    digest = hashlib.sha256()
    for name in (_WEIGHTS, _CONFIG):
        digest.update((directory / name).read_bytes())
    return digest.hexdigest()[:12]
