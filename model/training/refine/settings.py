"""Settings of a refinement, read from a TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from model.encoder.preprocess import PreprocessConfig
from model.video.sampling import SamplingConfig

DEFAULT_SETTINGS = Path(__file__).parent / "everyday.toml"


@dataclass(frozen=True, slots=True)
class LinearSettings:
    """How the linear layer is fitted: AdamW with one cycle of the learning rate (Smith, 2018).

    The loss is `cross_entropy` and half of `cosine` of `model.training.objective`. A batch has
    `batch` samples and as many random texts as further candidates; samples are drawn with weights
    of their source's size ** (temper - 1). `dropout` is that of the features.
    """

    epochs: int = 12
    batch: int = 1024
    rate: float = 2e-3
    weight_decay: float = 1e-4
    dropout: float = 0.2
    scale: float = 20.0
    label_smoothing: float = 0.05
    synonym_similarity: float = 0.7
    temper: float = 0.7


@dataclass(frozen=True, slots=True)
class RefineSettings:
    """Everything that a refinement chooses.

    `interpolation` is the share of the way from ImageNet's weights to the trained ones (WiSE-FT,
    Wortsman et al., CVPR 2022). `temperature` divides the logits of the word head. `evidence_dim`
    and `direct_share` are those of `model.text.knowledge`. `nearest_share` is
    that of `model.calibration`. `samples_per_source` limits the training samples of a source,
    `limits` those of sources by name. The background bank has the everyday videos and `bank`
    training samples.
    """

    model_id: str
    sampling: SamplingConfig
    preprocess: PreprocessConfig
    templates: tuple[str, ...]
    held_out: str
    interpolation: float
    temperature: float
    evidence_dim: int
    direct_share: float
    samples_per_source: int
    nearest_share: float = 0.0
    bank: int = 512
    limits: Mapping[str, int] = field(default_factory=dict)
    linear: LinearSettings = LinearSettings()
    seed: int = 1


def read_settings(path: Path = DEFAULT_SETTINGS, **changes: Any) -> RefineSettings:
    """Read settings from a TOML file, and apply `changes`. Raises ValueError for a wrong file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return TypeAdapter(RefineSettings).validate_python({**document, **changes}, extra="forbid")
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ValueError(f"{path} are not the settings of a refinement: {error}") from error
