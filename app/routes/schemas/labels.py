"""JSON of answers about labels and label sets; field descriptions are part of OpenAPI."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from app.labels.advice import Warned
from app.labels.fields import LabelFields, fields_of
from app.routes.schemas.system import ModelAnswer
from app.store import SetState, StoredExample, StoredLabel, Taught
from model import example_weight


class SetAnswer(BaseModel):
    """The state of a label set."""

    name: str
    revision: int = Field(description="Number of writes to the set; its ETag.")
    size: int = Field(description="Number of labels.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, state: SetState) -> Self:
        """Make it from the store's value."""
        return cls(
            name=state.name,
            revision=state.revision,
            size=state.size,
            created_at=state.created_at,
            updated_at=state.updated_at,
        )


class LabelItem(LabelFields):
    """A stored label."""

    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stored: StoredLabel, **more: Any) -> Self:
        """Make it from the store's value; `more` are fields of a subclass."""
        # the fields were validated when the label was stored
        return cls.model_construct(
            None,
            created_at=stored.created_at,
            updated_at=stored.updated_at,
            **fields_of(stored.new),
            **more,
        )


class Provenance(BaseModel):
    """The label set and the checkpoint that an answer comes from."""

    label_set: SetAnswer
    model: ModelAnswer


class OneSetAnswer(Provenance):
    """One label set."""


class LabelAnswer(LabelItem):
    """One label."""

    label_set: SetAnswer
    model: ModelAnswer


class LabelsAnswer(Provenance):
    """A page of labels, sorted by name."""

    items: list[LabelItem]
    next_page_token: str = Field(description="Token of the next page; empty on the last page.")


class SetsAnswer(BaseModel):
    """A page of label sets, sorted by name."""

    items: list[SetAnswer]
    next_page_token: str = Field(description="Token of the next page; empty on the last page.")
    model: ModelAnswer


class SpanOfVideo(BaseModel):
    """A span of a kept video."""

    model_config = ConfigDict(extra="forbid", strict=True)

    video: str = Field(
        pattern="^[0-9a-f]{64}$", description="SHA-256 of a kept video, as `GET /videos` gives it."
    )
    start: float = Field(ge=0, description="Start of the span in seconds.")
    end: float = Field(gt=0, description="End of the span in seconds.")


class ExampleItem(BaseModel):
    """An example of a label; only its embedding is stored."""

    sha256: str = Field(
        description="SHA-256 of the video file in hex, or of the text `sha256:start-end` of a "
        "span, with milliseconds: `...:4.000-9.500`; identifies the example."
    )
    created_at: datetime
    model_revision: str = Field(description="Revision of the checkpoint that embedded the video.")
    in_use: bool = Field(description="False if another checkpoint embedded the video.")

    @classmethod
    def of(cls, stored: StoredExample, video_space: str) -> Self:
        """Make it from the store's value; `video_space` is that of the running checkpoint."""
        return cls(
            sha256=stored.sha256,
            created_at=stored.created_at,
            model_revision=stored.video_space,
            in_use=stored.video_space == video_space,
        )


_WEIGHT = "Weight of the examples in use, 0 to 1; the label's words have the rest."


class ExamplesAnswer(Provenance):
    """The examples of a label, oldest first."""

    items: list[ExampleItem]
    weight: float = Field(description=_WEIGHT)

    @classmethod
    def of(
        cls, state: SetState, stored: Sequence[StoredExample], video_space: str, model: ModelAnswer
    ) -> Self:
        """Make it from the store's values; `video_space` is that of the running checkpoint."""
        items = [ExampleItem.of(each, video_space) for each in stored]
        return cls(
            items=items,
            weight=example_weight(sum(item.in_use for item in items)),
            label_set=SetAnswer.of(state),
            model=model,
        )


class TaughtAnswer(Provenance):
    """Result of a change of a label's examples, which every later request sees."""

    added: int = Field(description="Number of examples added.")
    removed: int = Field(description="Number of examples removed.")
    examples: int = Field(description="Number of examples in use.")
    weight: float = Field(description=_WEIGHT)
    warnings: list[Warned]

    @classmethod
    def of(cls, taught: Taught, model: ModelAnswer, warnings: Sequence[Warned] = ()) -> Self:
        """Make it from the store's value."""
        return cls(
            added=taught.added,
            removed=taught.removed,
            examples=taught.examples,
            weight=example_weight(taught.examples),
            warnings=list(warnings),
            label_set=SetAnswer.of(taught.state),
            model=model,
        )


class WriteAnswer(Provenance):
    """Result of a write, which every later request sees."""

    created: int = Field(description="Number of labels created.")
    updated: int = Field(description="Number of labels replaced.")
    removed: int = Field(description="Number of labels removed.")
    warnings: list[Warned]


class WriteProgressAnswer(BaseModel):
    """The data of a `progress` event of a write."""

    done: int = Field(description="Number of labels embedded so far.")
    total: int = Field(description="Number of labels to embed.")
