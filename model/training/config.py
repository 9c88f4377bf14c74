"""What a training run is: one frozen value, read from a preset's TOML, kept beside its results."""

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
    """Weights of the loss terms (0 leaves one out) and what they need.

    `contrastive` also asks from text to clip, among the clips of the whole batch, which must come
    in one piece (no `micro_batch`): for captioned pictures, whose texts are all different.
    `scale` starts the learnable scale of the cross-entropy, which never exceeds `largest_scale`.
    `candidates` texts are drawn beside the batch's own for each step. Texts more alike than
    `synonym_similarity` are never each other's wrong answer.
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
    """How weights move.

    Rates rise over `warmup_steps` and then follow the schedule: `cosine` to zero, or `steps` with
    a factor of 0.1 at each of `milestones` (shares of all steps; the paper: 0.4 and 0.8).
    `momentum` is SGD's. The first `head_steps` train the head alone (Kumar et al., ICLR 2022:
    LP-FT). `frozen_blocks` keeps the stem and that many blocks as they were; `ema_decay` 0 turns
    averaging off. Gradients longer than `largest_gradient` are shortened to it, 0 for any length.
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
    """What a step sees: sizes are samples over all processes.

    Every step takes `pictures` pictures and `videos` videos, as far as there are any. `temper` is
    the power of a source's size in its chance to be drawn among its kind. `epoch_samples` above 0
    draws without replacement instead: that many samples of a fresh shuffle of all of a kind, then
    of the next (the official code's epochs). `picture_frames` above 1 turns pictures into moving
    clips (the paper's Ken Burns). Frames come with their short side at `short_side` and end as
    squares of `side`: a plain random crop of that size when `smallest_crop` is 0 (the paper), else
    a crop of random area, at least that share of the frame's, resized. A step runs in pieces of
    `micro_batch` samples of one kind, 0 for one piece.
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
    """A whole run; `model_id` names the checkpoint that comes out.

    `init` is what `model.training.initial` and `initial` know; `tower` comes from there.
    `centred` takes the mean of the labels' vectors off them; `descriptions` is the path of a table
    with columns `label` and `description` (several rows of one label are averaged), which join the
    templates in a label's vector. `phrases` takes what people do out of captions, as texts of their
    own (`model.training.words.phrases`). `interpolated` ends a run that starts from a checkpoint
    with the weights between that one's and its own that do best on the validation classes.
    `precision` is that of the network's forward and backward pass, `probe` the faster one on this
    machine; weights
    stay in fp32.
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
    """A preset by name (`small`, `paper` ...) or a TOML file's path, with `changes` on top.

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
        raise ValueError(f"{path} is no whole configuration: {error}") from error


def as_document(config: TrainConfig) -> dict[str, Any]:
    """The run as plain values, for JSON."""
    return asdict(config)


def from_document(document: dict[str, Any]) -> TrainConfig:
    """The run from plain values; what they leave out has its default.

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
