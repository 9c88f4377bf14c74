"""JSON about the service itself: the checkpoint and the status."""

from typing import Literal, Self

from pydantic import BaseModel, Field

from app.access.access import Mode
from model import Tagger


class ModelAnswer(BaseModel):
    """The checkpoint that made the answer."""

    id: str
    revision: str = Field(description="First 12 hex digits of a SHA-256 over weights and config.")

    @classmethod
    def of(cls, tagger: Tagger) -> Self:
        """Make it from a loaded checkpoint."""
        return cls(id=tagger.model_id, revision=tagger.revision)


class SamplingAnswer(BaseModel):
    """How many frames the encoder reads from a video or window, and where they lie."""

    clips: int
    frames_per_clip: int
    spacing: str


class UnknownLimit(BaseModel):
    """When a video counts as unknown, and how often that is wrong."""

    limit: float = Field(description="`is_unknown` is true for scores over this value.")
    false_positive_rate: float | None = Field(
        description="Share of videos reported as unknown although one of the labels applies, 0 to "
        "1, on the validation classes that the limit was fitted to; null if it was not fitted."
    )


class RunningModel(ModelAnswer):
    """The answer of `GET /model`."""

    dim: int = Field(description="Number of dimensions of an embedding.")
    device: str = Field(description="Device that runs the encoder: `cpu` or `cuda`.")
    runtime: str = Field(description="Runtime of the encoder: eager, compile or openvino.")
    precision: str = Field(description="Number type of the encoder: float32, bfloat16 or float16.")
    sampling: SamplingAnswer
    text_space: str = Field(
        description="Digest of the text space; label vectors of another space cannot be compared."
    )
    unknown: UnknownLimit
    access: Mode = Field(
        description="Who is answered: `keys`: holders of an API key; without any keys `local`: "
        "clients on the service's own computer, or `open`: every client."
    )

    @classmethod
    def running(cls, tagger: Tagger, access: Mode) -> Self:
        """Make it from a loaded checkpoint and the mode of access."""
        calibration = tagger.calibration.config
        return cls(
            id=tagger.model_id,
            revision=tagger.revision,
            dim=tagger.encoder.dim,
            device=tagger.device,
            runtime=tagger.encoder.runtime.name,
            precision=tagger.encoder.runtime.precision,
            sampling=SamplingAnswer.model_validate(tagger.sampling, from_attributes=True),
            text_space=tagger.text_space,
            access=access,
            unknown=UnknownLimit(
                limit=calibration.unknown_limit,
                false_positive_rate=calibration.unknown_false_positive_rate,
            ),
        )


class Status(BaseModel):
    """The answer of `/healthz` and `/readyz`."""

    status: Literal["ok"] = "ok"
