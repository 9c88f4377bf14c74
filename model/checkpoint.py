"""Save a checkpoint directory, and load it as a Tagger.

    config.json         configuration of network, sampling, preprocessing, text and calibration
    model.safetensors   weights in float16, the text mean, the background bank, and the vectors of
                        the knowledge and of the reference actions
    SHA256SUMS          digests of the files that are loaded, in the format of `sha256sum`
    README.md           the model card
    knowledge/          the texts that those vectors were computed from, for people to read
    text/               the text model, where the checkpoint contains its own

The Hugging Face Hub can host such a directory unchanged. No pickle is read or written.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
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
from model.cpu.torch_threads import one_core
from model.digests import DIGESTS_FILE, check_digests, digest_lines, sha256_of
from model.encoder.networks import EncoderConfig, Network, build_network
from model.encoder.preprocess import PreprocessConfig
from model.encoder.sentence_tower import SentenceTower
from model.encoder.torch_encoder import TorchEncoder
from model.errors import CheckpointError
from model.hub import Say, find_folder
from model.tagger import Tagger
from model.text.deferred import DeferredTextEncoder, check_text_model
from model.text.knowledge import Knowledge
from model.text.pretrained import DEFAULT_TEXT_MODEL
from model.text.replacement import load_text_instead
from model.text.sentence_encoder import SentenceTextEncoder
from model.text.source import TEXT_FOLDER, load_text_encoder
from model.text.text_encoder import TextEncoder
from model.video.sampling import SamplingConfig

DEFAULT_CHECKPOINT = Path(__file__).parent / "default_checkpoint"
FORMAT_VERSION = 2
KNOWLEDGE_FOLDER = "knowledge"
WEIGHTS_FILE = "model.safetensors"
_CONFIG, _CARD = "config.json", "README.md"
_NETWORK_PREFIX, _TEXT_MEAN, _BANK = "network.", "text_mean", "background_bank"
_REFERENCE, _KNOWLEDGE_PREFIX = "reference", "knowledge."
_KNOWLEDGE_PARTS = ("phrases", "starts", "projection", "typical")
# The parameters of the `unknown` of version 1. Version 2 computes it from the scores, which are the
# same in both, so that a limit that was fitted to the old `unknown` means nothing.
_OLD_UNKNOWN = ("unknown_slope", "unknown_bias")
_OLD_LIMIT = ("unknown_limit", "unknown_false_positive_rate")
# Scores do not exceed it: no video is unknown, in both versions.
_NO_LIMIT = 1.0


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
    """Contents of config.json.

    `provenance` has no fixed keys: data, command, commit, figures. `direct_share` is that of
    `model.text.knowledge`, None for a checkpoint without knowledge.
    """

    model_id: str
    encoder: EncoderConfig
    sampling: SamplingConfig
    preprocess: PreprocessConfig
    text: TextConfig
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    direct_share: float | None = None


def save_checkpoint(
    directory: Path,
    config: CheckpointConfig,
    network: Network,
    *,
    text_mean: Tensor,
    bank: Tensor,
    card: str,
    reference: Tensor | None = None,
    knowledge: Knowledge | None = None,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint. `text_mean` is (text dim,), `bank` (M, dim); `card` is the model card.

    `reference` (A, dim) are the vectors of the reference actions (see `model.calibration`), None
    for none. The `direct_share` of `knowledge` is written to the configuration. `texts` are files
    by name, written to the knowledge folder. Floats are stored as float16. Raises ValueError where
    a number is too large for that; nothing is written then.
    """
    tensors = {_NETWORK_PREFIX + name: value for name, value in network.state_dict().items()}
    tensors |= {_TEXT_MEAN: text_mean, _BANK: bank}
    if reference is not None:
        tensors[_REFERENCE] = reference
    if knowledge is not None:
        for name in _KNOWLEDGE_PARTS:
            tensors[_KNOWLEDGE_PREFIX + name] = torch.tensor(getattr(knowledge, name))
        config = replace(config, direct_share=knowledge.direct_share)
    stored = {name: _to_storage(name, value) for name, value in tensors.items()}
    document = {"format_version": FORMAT_VERSION, **asdict(config)}
    files = {
        WEIGHTS_FILE: save(stored, metadata={"format": "pt"}),
        _CONFIG: json.dumps(document, indent=2).encode() + b"\n",
    }
    directory.mkdir(parents=True, exist_ok=True)
    # first, so that a checkpoint that is written only in part is refused
    _replace(directory / DIGESTS_FILE, digest_lines(_digests(directory, files)))
    for name, content in files.items():
        _replace(directory / name, content)
    _replace(directory / _CARD, card.encode())
    for name, text in (texts or {}).items():
        folder = directory / KNOWLEDGE_FOLDER
        folder.mkdir(exist_ok=True)
        _replace(folder / name, text.encode())


def _digests(directory: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the digests of new files, and of a text model that is in the directory already."""
    text = [path for path in (directory / TEXT_FOLDER).rglob("*") if path.is_file()]
    found = {path.relative_to(directory).as_posix(): sha256_of(path) for path in text}
    return found | {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


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


@one_core()
def load_checkpoint(
    name_or_path: str | Path = DEFAULT_CHECKPOINT,
    *,
    device: str = "cpu",
    text: TextEncoder | None = None,
    text_model: str = "",
    defer_text: bool = False,
) -> Tagger:
    """Load a Tagger from a directory or a Hugging Face Hub id, `org/name` or `org/name@revision`.

    `text` replaces loading the checkpoint's text model. `text_model` names another text model that
    shares its text space, because it was distilled from it. With `defer_text` a text model whose
    digest the checkpoint states, and which embeds no videos, is loaded when the first text is
    encoded. Raises CheckpointError where a file is missing, damaged or of another format version,
    or where two of them do not fit together.
    """
    directory = find_checkpoint(name_or_path)
    config = read_config(directory)
    check_digests(directory)
    tensors = read_tensors(directory / WEIGHTS_FILE)
    dim, text_dim = config.encoder.dim, config.encoder.text_dim
    network = network_from(config.encoder, tensors)
    text_mean = _array(tensors, _TEXT_MEAN, (text_dim,))
    bank = _array(tensors, _BANK, (None, dim))
    reference = _array(tensors, _REFERENCE, (None, dim)) if _REFERENCE in tensors else bank[:0]
    is_shared = isinstance(network.backbone, SentenceTower)
    stated = config.text.model, text_dim, config.text.sha256
    load = partial(load_text_encoder, config.text.model, checkpoint=directory)
    if text is None and defer_text and config.text.sha256 and not is_shared:
        text = DeferredTextEncoder(load, *stated)
    else:
        text = text or load()
        check_text_model(text, *stated)
    if isinstance(network.backbone, SentenceTower):
        if not isinstance(text, SentenceTextEncoder):
            raise CheckpointError(f"{TEXT_FOLDER}/ contains no model of sentence-transformers")
        network.backbone.use(text.model)
    if text_model:
        text = load_text_instead(text_model, text)
    return Tagger(
        encoder=TorchEncoder(network, dim, device=device, shared=is_shared),
        text=text,
        templates=config.text.templates,
        text_mean=text_mean,
        preprocess=config.preprocess,
        sampling=config.sampling,
        calibration=Calibration(config.calibration, bank, reference),
        knowledge=_knowledge(config, tensors, bank),
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
    if not isinstance(document, dict) or "format_version" not in document:
        raise CheckpointError(
            f"{directory} is not a checkpoint of Kinolex: its {_CONFIG} has no format version. "
            "`kinolex checkpoint import` makes one of a model that it can import"
        )
    version = document.pop("format_version")
    if version not in (1, FORMAT_VERSION):
        raise CheckpointError(
            f"{path} has format version {version}, this code reads 1 to {FORMAT_VERSION}"
        )
    if version == 1 and isinstance(document.get("calibration"), dict):
        _convert_from_version_1(document["calibration"])
    try:
        return TypeAdapter(CheckpointConfig).validate_python(document, extra="forbid")
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, found {fault['input']!r:.80}"
            for fault in error.errors(include_url=False)
        )
        raise CheckpointError(f"{path} is not valid: {faults}") from error


def _convert_from_version_1(calibration: dict[str, Any]) -> None:
    """Remove what version 2 does not have or what means another thing there."""
    replaced: tuple[str, ...] = _OLD_UNKNOWN
    if calibration.get("unknown_limit") != _NO_LIMIT:
        replaced += _OLD_LIMIT
    for name in replaced:
        calibration.pop(name, None)


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


def find_checkpoint(name_or_path: str | Path, say: Say | None = None) -> Path:
    """Find a checkpoint's directory; a Hub id is fetched (`model.hub`). Raises CheckpointError."""
    if isinstance(name_or_path, Path) and not name_or_path.is_dir():
        raise CheckpointError(f"{name_or_path} is not a directory; give a checkpoint's folder")
    files = [
        _CONFIG,
        WEIGHTS_FILE,
        DIGESTS_FILE,
        _CARD,
        f"{TEXT_FOLDER}/*",
        f"{KNOWLEDGE_FOLDER}/*",
    ]
    return find_folder(str(name_or_path), files, say)


def is_checkpoint(directory: Path) -> bool:
    """Whether a directory contains the config.json of a Kinolex checkpoint."""
    try:
        document = from_json((directory / _CONFIG).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "format_version" in document


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a checkpoint's model.safetensors. Raises CheckpointError."""
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
        raise CheckpointError(f"{WEIGHTS_FILE}: {name} is {found or 'missing'}, expected {shape}")
    return tensors[name].to(torch.float32).numpy()


def _knowledge(
    config: CheckpointConfig, tensors: Mapping[str, Tensor], bank: npt.NDArray[np.float32]
) -> Knowledge | None:
    """Build the knowledge of a checkpoint that has it. Raises CheckpointError."""
    if config.direct_share is None:
        return None
    encoder = config.encoder
    if not encoder.evidence_dim or not len(bank):
        raise CheckpointError("knowledge needs an encoder with evidence and a background bank")
    shapes: Mapping[str, tuple[int | None, ...]] = {
        "phrases": (None, encoder.text_dim),
        "starts": (encoder.vocabulary + 1,),
        "projection": (encoder.vocabulary, encoder.evidence_dim),
        "typical": (encoder.vocabulary,),
    }
    phrases, starts, projection, typical = (
        _array(tensors, _KNOWLEDGE_PREFIX + name, shapes[name]) for name in _KNOWLEDGE_PARTS
    )
    try:
        return Knowledge(phrases, starts.astype(np.int64), projection, typical, config.direct_share)
    except ValueError as error:
        raise CheckpointError(f"{WEIGHTS_FILE}: {error}") from error


def _revision(directory: Path) -> str:
    """Return the first 12 hex digits of a SHA-256 over weights and config."""
    digest = hashlib.sha256()
    for name in (WEIGHTS_FILE, _CONFIG):
        digest.update((directory / name).read_bytes())
    return digest.hexdigest()[:12]
