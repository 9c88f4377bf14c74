"""The configuration of a training run: frozen values, read from a preset's TOML file."""

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from model.encoder.networks import EncoderConfig, NetworkName
from model.encoder.preprocess import PreprocessConfig
from model.encoder.vision_tower import TowerConfig
from model.video.sampling import SamplingConfig

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True, slots=True)
class ObjectiveConfig:
    """Weights of the loss terms, 0 to leave a term out, and their parameters.

    `contrastive` is the cross-entropy from text to clip over the whole batch, which must not be
    split (`micro_batch` 0); it suits captioned pictures, whose texts are all different.
    `scale` is the initial value of the learnable scale of the cross-entropy, `largest_scale` its
    maximum. `candidates` texts are drawn for each step beside the batch's own. Texts with a cosine
    above `synonym_similarity` are not counted as each other's negatives.
    """

    mse: float = 0.0
    cosine: float = 0.0
    cross_entropy: float = 0.0
    contrastive: float = 0.0
    distillation: float = 0.0
    scale: float = 10.0
    largest_scale: float = 30.0
    label_smoothing: float = 0.0
    candidates: int = 0
    synonym_similarity: float = 1.0


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """Optimiser, learning rates, and which weights are trained.

    Rates rise over `warmup_steps` and then follow the schedule: `cosine` to zero, or `steps` with
    a factor of 0.1 at each of `milestones` (shares of all steps; the paper: 0.4 and 0.8).
    `momentum` is SGD's. The first `head_steps` train the head alone (Kumar et al., ICLR 2022:
    LP-FT). `frozen_blocks` freezes the stem and that many blocks, `freeze_statistics` the
    statistics of batch norm. `ema_decay` is the decay of the averaged weights per step, 0 for no
    averaging. Gradients are clipped to the norm `largest_gradient`, 0 for no clipping.
    """

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    backbone_rate: float = 3e-4
    head_rate: float = 1e-3
    weight_decay: float = 0.05
    schedule: Literal["cosine", "steps"] = "cosine"
    milestones: tuple[float, ...] = ()
    warmup_steps: int = 0
    head_steps: int = 0
    frozen_blocks: int = 0
    freeze_statistics: bool = True
    ema_decay: float = 0.0
    largest_gradient: float = 5.0


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """The batch of a step; sizes count samples over all processes.

    Every step has `pictures` pictures and `videos` videos, or only the kind that the data has. A
    source is drawn with a probability proportional to its size to the power of `temper`.
    `epoch_samples` above 0 draws without replacement instead: that many samples of a shuffle of
    all samples of a kind, then of the next shuffle (the official code's epochs). `picture_frames`
    above 1 turns pictures into moving clips (the paper's Ken Burns effect). Frames are read with
    their short side at `short_side` pixels and cropped to squares of `side` pixels: a random crop
    of that size when `smallest_crop` is 0 (the paper), else a crop of random area, at least that
    share of the frame, resized. `brightness` is the maximum relative change of brightness and
    contrast. A step runs in pieces of `micro_batch` samples of one kind, 0 for one piece.
    """

    short_side: int = 128
    side: int = 112
    micro_batch: int = 0
    pictures: int = 64
    videos: int = 16
    temper: float = 0.7
    epoch_samples: int = 0
    picture_frames: int = 1
    smallest_crop: float = 0.0
    brightness: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A whole run; `model_id` names the checkpoint that it writes.

    `sampling` is stored in the checkpoint, `training_sampling` is used while training. `word_head`
    adds a head over ImageNet's class names (`model.encoder.networks.WordHead`).

    `init` names the initial weights (see `model.training.initial`), which may bring a `tower`.
    `shift_fraction` of the channels are shifted in time. `held_out` is a split by name or path.
    `centred` subtracts the mean of the labels' vectors; `descriptions` is the path of a table with
    columns `label` and `description`, which are averaged with the templates into a label's vector.
    `phrases` adds the verb phrases of captions as texts (`model.training.words.phrases`).
    `interpolated` ships an interpolation of the initial and the trained weights, chosen on the
    validation classes. `precision` is that of the network's forward and backward pass, `probe` the
    faster one on this machine; weights stay in fp32. `save_every` counts steps between saved
    states, `dim` is the length of an embedding.
    """

    model_id: str
    network: NetworkName
    steps: int
    sampling: SamplingConfig
    training_sampling: SamplingConfig
    preprocess: PreprocessConfig
    objective: ObjectiveConfig
    optimiser: OptimiserConfig
    batch: BatchConfig
    init: str = "scratch"
    shift_fraction: float = 0.0
    word_head: bool = False
    tower: TowerConfig | None = None
    templates: tuple[str, ...] = ("{}",)
    held_out: str = ""
    seed: int = 0
    save_every: int = 100
    dim: int = 384
    centred: bool = True
    precision: Literal["fp32", "bf16", "probe"] = "fp32"
    descriptions: str = ""
    phrases: bool = False
    interpolated: bool = False

    @property
    def encoder(self) -> EncoderConfig:
        """The network to build."""
        return EncoderConfig(
            self.network,
            self.dim,
            self.shift_fraction,
            1000 if self.word_head else 0,
            self.tower,
        )


def read_preset(name_or_path: str, **changes: Any) -> TrainConfig:
    """Read a preset by name (`small`, `paper` ...) or a TOML file by path, and apply `changes`.

    Raises ValueError on an unknown name, key or value.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = PRESETS / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PRESETS.glob("*.toml")))
        raise ValueError(f"no preset {name_or_path!r}; there are {known}, or give a .toml file")
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        return from_document({**document, **changes})
    except TypeError as error:
        raise ValueError(f"{path} is not a complete configuration: {error}") from error


def as_document(config: TrainConfig) -> dict[str, Any]:
    """Convert to plain values for JSON."""
    return asdict(config)


def from_document(document: dict[str, Any]) -> TrainConfig:
    """Build from plain values; missing ones have their defaults.

    Raises ValueError on an unknown key, TypeError on a missing one.
    """
    sections: dict[str, type[Any]] = {
        "sampling": SamplingConfig,
        "training_sampling": SamplingConfig,
        "preprocess": PreprocessConfig,
        "objective": ObjectiveConfig,
        "optimiser": OptimiserConfig,
        "batch": BatchConfig,
        "tower": TowerConfig,
    }
    values = {
        key: _build(sections[key], value)
        if key in sections and value is not None
        else _frozen(value)
        for key, value in document.items()
    }
    return _build(TrainConfig, values)  # type: ignore[no-any-return]  # built from a type value


def _build(kind: type[Any], values: dict[str, Any]) -> Any:
    unknown = values.keys() - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    hints = get_type_hints(kind)
    for key, value in values.items():
        choices = get_args(hints[key]) if get_origin(hints[key]) is Literal else ()
        if choices and value not in choices:
            raise ValueError(f"{key} is one of {', '.join(choices)}, not {value!r}")
    return kind(**{key: _frozen(value) for key, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
