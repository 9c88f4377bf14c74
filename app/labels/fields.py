"""Labels as callers write them: what is allowed, and where the faults are.

Field descriptions become the OpenAPI document.
"""

import json
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.errors import InvalidParameter, MalformedRequest
from app.store import NewLabel
from model import Label, LabelError, clean_name

MOST_LABELS_AT_ONCE = 100_000
MOST_TEXTS = 20
_MOST_METADATA_BYTES = 16_384
_MOST_FAULTS = 100


def fault(sentence: str) -> PydanticCustomError:
    """What a validator raises, told as this sentence."""
    # a ValueError's sentence would be told as "Value error, ..."
    return PydanticCustomError("not_allowed", "{sentence}", {"sentence": sentence})


def _name(value: str) -> str:
    try:
        return clean_name(value)
    except LabelError as error:
        raise fault(str(error)) from error


def _text(value: str) -> str:
    cleaned = " ".join(unicodedata.normalize("NFC", value).split())
    if not cleaned:
        raise fault("the text is empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in cleaned):
        raise fault("control characters are not allowed")
    return cleaned


def _metadata(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        size = len(json.dumps(value, allow_nan=False))
    except ValueError as error:
        raise fault("NaN and Infinity are not JSON") from error
    if size > _MOST_METADATA_BYTES:
        raise fault(f"metadata may have {_MOST_METADATA_BYTES} bytes of JSON, not {size}")
    return value


def _record(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


Name = Annotated[str, Field(max_length=1000), AfterValidator(_name)]
Text = Annotated[str, Field(max_length=500), AfterValidator(_text)]


class LabelFields(BaseModel):
    """An action in words."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name = Field(
        description="The action, such as `riding a horse`. Upper and lower case and extra spaces "
        "do not make another label."
    )
    prompts: list[Text] = Field(
        default_factory=list,
        max_length=MOST_TEXTS,
        description="Further descriptions of the action, averaged with the name.",
    )
    aliases: list[Name] = Field(
        default_factory=list,
        max_length=MOST_TEXTS,
        description="Other names that stand for themselves and are answered under `name`.",
    )
    description: Text | None = Field(
        default=None, description="A sentence that says what is meant."
    )
    language: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        max_length=35,
        description="Language tag (BCP 47) of the texts, kept for you.",
    )
    threshold: float | None = Field(
        None, ge=0.0, le=1.0, description="Least score at which the label is answered."
    )
    enabled: bool = Field(
        default=True, description="A label that is not enabled is kept but not searched."
    )
    metadata: Annotated[dict[str, JsonValue], AfterValidator(_metadata)] = Field(
        default_factory=dict, description="Anything of yours, up to 16 KiB of JSON; given back."
    )

    def new_label(self) -> NewLabel:
        """The label for the store."""
        return NewLabel(
            Label(
                self.name,
                tuple(dict.fromkeys(self.prompts)),
                tuple(dict.fromkeys(self.aliases)),
                self.description,
                self.threshold,
            ),
            self.language,
            self.enabled,
            self.metadata,
        )


def fields_of(new: NewLabel) -> dict[str, Any]:
    """The values of LabelFields for a label of the store."""
    return {
        "name": new.label.name,
        "prompts": list(new.label.prompts),
        "aliases": list(new.label.aliases),
        "description": new.label.description,
        "language": new.language,
        "threshold": new.label.threshold,
        "enabled": new.enabled,
        "metadata": dict(new.metadata),
    }


LabelInput = Annotated[
    LabelFields, BeforeValidator(_record, json_schema_input_type=str | LabelFields)
]
Labels = Annotated[list[LabelInput], Field(max_length=MOST_LABELS_AT_ONCE)]


class PutLabels(BaseModel):
    """Labels to create or replace; a plain string is a label with that name and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: Labels


class PutSet(BaseModel):
    """What a label set shall hold: these labels and no others, or what another set holds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: Labels | None = None
    copy_of: str | None = Field(default=None, description="Name of the set to copy.")

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if (self.labels is None) == (self.copy_of is None):
            raise fault("give either labels or copy_of")
        return self


_Body = TypeVar("_Body", bound=BaseModel)


def read_body(model: type[_Body], body: bytes) -> _Body:
    """A JSON body. Raises MalformedRequest, or InvalidParameter with a pointer to each fault."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if any(each["type"] == "json_invalid" for each in found):
            raise MalformedRequest("the body is not valid JSON") from error
        raise invalid_labels([(each["loc"], each["msg"]) for each in found]) from error


def new_labels(labels: Sequence[LabelFields]) -> list[NewLabel]:
    """The labels for the store. Raises InvalidParameter when two are the same label."""
    made = [fields.new_label() for fields in labels]
    first: dict[str, int] = {}
    repeated = [
        (("labels", position, "name"), f"the same label as #/labels/{first[key]}")
        for position, key in enumerate(new.key for new in made)
        if first.setdefault(key, position) != position
    ]
    if repeated:
        raise invalid_labels(repeated)
    return made


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON body for OpenAPI: FastAPI does not see what is parsed in a thread."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def whole(part: Any) -> Any:
        if isinstance(part, list):
            return [whole(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return whole(definitions[part["$ref"].rpartition("/")[2]])
        return {key: whole(value) for key, value in part.items()}

    content = {"application/json": {"schema": whole(schema)}}
    return {"requestBody": {"required": True, "content": content}}


def invalid_labels(
    faults: Sequence[tuple[tuple[str | int, ...], str]],
    kind: type[InvalidParameter] = InvalidParameter,
) -> InvalidParameter:
    """The first of these (path, message) faults, each with its JSON pointer into the body.

    A last one says how many more there are.
    """
    listed = [{"loc": ("body", *path), "msg": message} for path, message in faults[:_MOST_FAULTS]]
    if len(faults) > _MOST_FAULTS:
        more = f"{len(faults) - _MOST_FAULTS:,} more faults are not listed"
        listed.append({"loc": ("body",), "msg": more})
    return kind.of(listed)
