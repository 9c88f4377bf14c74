"""The JSON answers about labels and label sets; field descriptions become the OpenAPI document."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from app.labels.advice import Warned
from app.labels.fields import LabelFields, fields_of
from app.routes.schemas.videos import ModelAnswer
from app.store import SetState, StoredExample, StoredLabel, Taught
from model import example_weight


class SetAnswer(BaseModel):
    """A label set."""

    name: str
    revision: int = Field(description="Grows by one with every write; also the ETag.")
    size: int = Field(description="Number of labels.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, state: SetState) -> Self:
        """The set in this state."""
        return cls(
            name=state.name,
            revision=state.revision,
            size=state.size,
            created_at=state.created_at,
            updated_at=state.updated_at,
        )


class LabelItem(LabelFields):
    """A label as it is stored."""

    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stored: StoredLabel, **more: Any) -> Self:
        """The label with its times, and what a subclass has besides."""
        # it was checked on its way in
        return cls.model_construct(
            None,
            created_at=stored.created_at,
            updated_at=stored.updated_at,
            **fields_of(stored.new),
            **more,
        )


class Provenance(BaseModel):
    """Who answers: the label set at a revision, and the checkpoint."""

    label_set: SetAnswer
    model: ModelAnswer


class OneSetAnswer(Provenance):
    """One label set."""


class LabelAnswer(LabelItem):
    """One label."""

    label_set: SetAnswer
    model: ModelAnswer


class LabelsAnswer(Provenance):
    """A page of labels, by name."""

    items: list[LabelItem]
    next_page_token: str = Field(description="Continues the list; empty at its end.")


class SetsAnswer(BaseModel):
    """A page of label sets, by name."""

    items: list[SetAnswer]
    next_page_token: str = Field(description="Continues the list; empty at its end.")
    model: ModelAnswer


class ExampleItem(BaseModel):
    """A video that a label was taught by; only its embedding is kept."""

    sha256: str = Field(description="Digest of the video's bytes; the example's address.")
    created_at: datetime
    model_revision: str = Field(description="Of the checkpoint that embedded it.")
    in_use: bool = Field(description="False when another checkpoint embedded it.")

    @classmethod
    def of(cls, stored: StoredExample, video_space: str) -> Self:
        """The example beside a checkpoint."""
        return cls(
            sha256=stored.sha256,
            created_at=stored.created_at,
            model_revision=stored.video_space,
            in_use=stored.video_space == video_space,
        )


_WEIGHT = "Weight of the examples in use beside the label's words, which have the rest; 0 to 1."


class ExamplesAnswer(Provenance):
    """A label's examples, oldest first."""

    items: list[ExampleItem]
    weight: float = Field(description=_WEIGHT)

    @classmethod
    def of(
        cls, state: SetState, stored: Sequence[StoredExample], video_space: str, model: ModelAnswer
    ) -> Self:
        """The examples beside a checkpoint."""
        items = [ExampleItem.of(each, video_space) for each in stored]
        return cls(
            items=items,
            weight=example_weight(sum(item.in_use for item in items)),
            label_set=SetAnswer.of(state),
            model=model,
        )


class TaughtAnswer(Provenance):
    """What a change of a label's examples did. The next request of any worker sees it."""

    added: int
    removed: int
    examples: int = Field(description="Number of examples now in use.")
    weight: float = Field(description=_WEIGHT)
    warnings: list[Warned]

    @classmethod
    def of(cls, taught: Taught, model: ModelAnswer, warnings: Sequence[Warned] = ()) -> Self:
        """The store's value as JSON has it."""
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
    """What a write did. The next request of any worker sees it."""

    created: int
    updated: int
    removed: int
    warnings: list[Warned]
