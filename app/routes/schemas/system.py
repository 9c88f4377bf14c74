"""JSON about the service itself: the checkpoint and the status."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, Field

from app.access.access import Mode
from app.decode.ffmpeg_version import ffmpeg_version
from app.decode.sandbox.report import Sandbox
from app.readiness import Limitation
from model import LIKELY_SCORE, POSSIBLE_SCORE, Tagger


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
        "1, on the samples that the limit was fitted to; null if it was not fitted."
    )


class ScoresAnswer(BaseModel):
    """What stands behind the scores, and the words for them."""

    fitted_on: str | None = Field(
        description="The samples that the scores were fitted on, in words; null where the "
        "checkpoint does not say. On footage unlike them, scores are less exact."
    )
    likely: float = Field(
        default=LIKELY_SCORE, description="`likelihood` is `likely` from this score on."
    )
    possible: float = Field(
        default=POSSIBLE_SCORE,
        description="`likelihood` is `possible` from this score on, and `unsure` below it.",
    )


class SandboxAnswer(BaseModel):
    """What the kernel grants to protect the service from the processes that decode videos."""

    seccomp: bool = Field(description="Only the system calls that decoding needs are allowed.")
    landlock_abi: int = Field(
        description="Version of Landlock, which refuses all files and TCP; 0 without Landlock."
    )
    no_new_privileges: bool = Field(description="No program can give such a process more rights.")
    not_dumpable: bool = Field(
        description="Other processes of the same user cannot read its memory."
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
    scores: ScoresAnswer
    unknown: UnknownLimit
    access: Mode = Field(
        description="Who is answered: `keys`: holders of an API key; without any keys `local`: "
        "clients on the service's own computer, or `open`: every client."
    )
    max_upload_bytes: int = Field(description="Maximum size of a video file.")
    sandbox: SandboxAnswer
    ffmpeg: str = Field(description="Version of FFmpeg, which decodes videos.")

    @classmethod
    def running(
        cls, tagger: Tagger, access: Mode, sandbox: Sandbox, *, max_upload_bytes: int
    ) -> Self:
        """Make it from a loaded checkpoint, the mode of access and the decode workers' sandbox."""
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
            max_upload_bytes=max_upload_bytes,
            scores=ScoresAnswer(fitted_on=calibration.fitted_on or None),
            unknown=UnknownLimit(
                limit=calibration.unknown_limit,
                false_positive_rate=calibration.unknown_false_positive_rate,
            ),
            sandbox=SandboxAnswer.model_validate(sandbox, from_attributes=True),
            ffmpeg=ffmpeg_version(),
        )


class Status(BaseModel):
    """The answer of `/healthz`."""

    status: Literal["ok"] = "ok"


class LimitationAnswer(BaseModel):
    """Something that the service cannot do at the moment."""

    code: str = Field(description="Code of the problem with which such requests are answered.")
    detail: str


class ReadyStatus(Status):
    """The answer of `/readyz`."""

    limitations: list[LimitationAnswer] | None = Field(
        default=None, description="What cannot be done; videos are tagged. Left out if empty."
    )

    @classmethod
    def of(cls, limitations: Sequence[Limitation]) -> Self:
        """Make it from what the service cannot do."""
        found = [
            LimitationAnswer.model_validate(each, from_attributes=True) for each in limitations
        ]
        return cls(limitations=found or None)
