"""JSON of API keys."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from app.access.management import DEFAULT_OVERLAP, MAX_OVERLAP, IssuedKey
from app.labels.fields import Text
from app.store import SET_NAME
from app.store.access import ApiKey, Limits, Rights, Scope

_Limit = Annotated[int, Field(ge=1, le=2**53)]


class LimitFields(BaseModel):
    """How much a key may use; null: no limit. Days are those of UTC."""

    model_config = ConfigDict(extra="forbid", strict=True, from_attributes=True)

    requests_per_minute: _Limit | None = None
    requests_per_day: _Limit | None = None
    video_seconds_per_minute: _Limit | None = Field(
        default=None,
        description="Seconds of video. The last video may exceed the limit; the excess is "
        "subtracted from the next minutes.",
    )
    video_seconds_per_day: _Limit | None = None


class CreateKey(BaseModel):
    """A new API key. Its rights must not exceed those of the key that creates it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[Text, Field(max_length=100)] = Field(description="What the key is used by.")
    # JSON has no sets
    scopes: list[Scope] = Field(
        description="What the key may do. A key without scopes may read `/model`, `/metrics` and "
        "`/openapi.json` only."
    )
    label_sets: list[Annotated[str, Field(pattern=f"^{SET_NAME.pattern}$")]] | None = Field(
        default=None, max_length=1000, description="Label sets that it covers; null: all."
    )
    limits: LimitFields = LimitFields()

    @property
    def rights(self) -> Rights:
        """The rights that are asked for."""
        return Rights(
            frozenset(self.scopes),
            None if self.label_sets is None else frozenset(self.label_sets),
            Limits(**self.limits.model_dump()),
        )


class RotateKey(BaseModel):
    """How long the present secret of a rotated key is still accepted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overlap_seconds: int = Field(
        default=int(DEFAULT_OVERLAP.total_seconds()),
        ge=0,
        le=int(MAX_OVERLAP.total_seconds()),
        description="Seconds for which the present secret is accepted beside the new one.",
    )


class KeyAnswer(BaseModel):
    """An API key, without its secret."""

    id: str = Field(description="The first part of the key; not secret.")
    name: str
    scopes: list[Scope]
    label_sets: list[str] | None
    limits: LimitFields
    created_at: datetime
    created_by: str | None = Field(description="Id of the key that created it; null: made locally.")
    rotated_at: datetime | None
    former_until: datetime | None = Field(
        description="Until when the secret before the latest rotation is accepted."
    )
    last_used_at: datetime | None = Field(description="Exact to about a minute.")
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """Make it from a stored key."""
        return cls.model_validate(_fields(key))


class IssuedKeyAnswer(KeyAnswer):
    """An API key with its secret, which is returned this once."""

    key: str = Field(description="The key to send as `Authorization: Bearer`.")

    @classmethod
    def issued(cls, issued: IssuedKey) -> Self:
        """Make it from a key that was just created or rotated."""
        return cls.model_validate({**_fields(issued.key), "key": issued.token.text})


class KeysAnswer(BaseModel):
    """A page of API keys."""

    items: list[KeyAnswer]
    next_page_token: str


def _fields(key: ApiKey) -> dict[str, object]:
    label_sets = key.rights.label_sets
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.rights.scopes),
        "label_sets": None if label_sets is None else sorted(label_sets),
        "limits": LimitFields.model_validate(key.rights.limits),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "rotated_at": key.rotated_at,
        "former_until": key.former_until,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
