"""The JSON answers about labels and label sets; field descriptions become the OpenAPI document."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from app.label_fields import LabelFields, fields_of
from app.schemas import ModelAnswer
from app.store import SetState, StoredLabel


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


class Warned(BaseModel):
    """Something about a label that is allowed and perhaps not meant."""

    pointer: str = Field(description="JSON pointer to the label in the request.")
    code: str
    detail: str


class WriteAnswer(Provenance):
    """What a write did. The next request of any worker sees it."""

    created: int
    updated: int
    removed: int
    warnings: list[Warned]
