"""JSON of `POST /v1/embeddings`, in OpenAI's shape; field descriptions are part of OpenAPI."""

import base64
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from app.labels.fields import embedded_text
from app.upload.data_urls import is_data_url


def _text_or_video(value: str) -> str:
    return value if is_data_url(value) else embedded_text(value)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Input = Annotated[
    list[Annotated[str, AfterValidator(_text_or_video)]],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class EmbeddingsRequest(BaseModel):
    """Texts and videos to embed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input: _Input = Field(
        min_length=1,
        description="A text, a video as `data:video/mp4;base64,...`, or a list of both.",
    )
    model: str = Field(
        description="`kinolex`, or the id of the running checkpoint, as `GET /model` names it."
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="`base64`: the bytes of little-endian numbers of 32 bits."
    )
    dimensions: int | None = Field(
        None, description="Only the number of dimensions that the checkpoint has."
    )
    user: str | None = Field(
        None, description="Accepted because OpenAI's clients send it; it has no effect."
    )


class EmbeddingItem(BaseModel):
    """The embedding of one input."""

    object: Literal["embedding"] = "embedding"
    index: int = Field(description="Position of the input.")
    embedding: list[float] | str = Field(description="A unit vector: numbers, or base64.")


class Usage(BaseModel):
    """What OpenAI bills; this service counts no tokens."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class EmbeddingsAnswer(BaseModel):
    """The embeddings, in the order of the input."""

    object: Literal["list"] = "list"
    data: list[EmbeddingItem]
    model: str
    usage: Usage

    @classmethod
    def of(
        cls,
        vectors: npt.NDArray[np.float32],
        model: str,
        encoding_format: Literal["float", "base64"],
    ) -> Self:
        """Make the answer from (N, dim) float32 unit vectors."""
        encode = _as_base64 if encoding_format == "base64" else _as_numbers
        items = [EmbeddingItem(index=at, embedding=encode(row)) for at, row in enumerate(vectors)]
        return cls(data=items, model=model, usage=Usage())


def _as_numbers(row: npt.NDArray[np.float32]) -> list[float] | str:
    numbers: list[float] = row.tolist()
    return numbers


def _as_base64(row: npt.NDArray[np.float32]) -> list[float] | str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
