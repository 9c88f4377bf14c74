"""JSON of the requests and answers of `POST /embed`."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.labels.fields import EmbeddedText, fault
from app.question import Timestamps
from app.routes.schemas.system import ModelAnswer
from app.routes.schemas.videos import TimestampsAnswer, VideoAnswer
from model import Tagger


class EmbedTexts(BaseModel):
    """One text or several."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: EmbeddedText | None = None
    texts: list[EmbeddedText] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise fault("give either text or texts")
        return self

    @property
    def all(self) -> list[str]:
        """All texts, in their order."""
        return [self.text] if self.text is not None else self.texts or []


class EmbedAnswer(BaseModel):
    """The answer of `POST /embed`: unit vectors whose inner products are the similarities."""

    request_id: str
    embeddings: list[list[float]] = Field(
        description="One unit vector for the video, or one for each text: the vector that a label "
        "with this name has."
    )
    dim: int = Field(description="Number of dimensions.")
    video: VideoAnswer | None = Field(description="Facts about the video; null for texts.")
    timestamps: TimestampsAnswer | None = Field(
        description="Times of the frames that the embedding was computed from; null for texts."
    )
    model: ModelAnswer
    text_space: str = Field(
        description="Digest of the text space; vectors of another space cannot be compared."
    )
    timings: dict[str, float] = Field(description="Seconds in each stage of the request.")

    @classmethod
    def of(
        cls,
        embeddings: npt.NDArray[np.float32],
        video: VideoAnswer | None,
        timestamps: Timestamps | None,
        *,
        tagger: Tagger,
        request_id: str,
        timings: Mapping[str, float],
    ) -> Self:
        """Make the answer from (N, dim) float32 unit vectors."""
        return cls(
            request_id=request_id,
            embeddings=embeddings.tolist(),
            dim=embeddings.shape[1],
            video=video,
            timestamps=TimestampsAnswer.of(timestamps) if timestamps else None,
            model=ModelAnswer.of(tagger),
            text_space=tagger.text_space,
            timings=dict(timings),
        )
