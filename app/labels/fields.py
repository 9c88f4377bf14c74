"""The JSON fields of a label: validation, and errors with JSON pointers.

Field descriptions are part of the OpenAPI document.
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
from pydantic_core import ErrorDetails, PydanticCustomError

from app.errors import InvalidParameter, MalformedRequest
from app.labels.encodings import plain_utf8
from app.store import NewLabel
from model import MAX_NAME_CHARACTERS, Label, LabelError, clean_name, clean_text

MAX_LABELS_PER_REQUEST = 100_000
MAX_TEXTS = 20
_MAX_METADATA_BYTES = 16_384
_MAX_FAULTS = 100


def fault(sentence: str) -> PydanticCustomError:
    """Return an error for a validator to raise; `sentence` becomes its message."""
    # pydantic would prefix the message of a ValueError with "Value error, "
    return PydanticCustomError("not_allowed", "{sentence}", {"sentence": sentence})


def _name(value: str) -> str:
    try:
        return clean_name(value)
    except LabelError as error:
        raise fault(str(error)) from error


def embedded_text(value: str) -> str:
    """Return a text that is to be embedded, cleaned like a label's name; for validators."""
    try:
        return clean_name(value, what="a text")
    except LabelError as error:
        raise fault(str(error)) from error


def _text(value: str) -> str:
    cleaned = clean_text(value)
    if not cleaned:
        raise fault("the text is empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in cleaned):
        raise fault("control characters are not allowed")
    return cleaned


def _metadata(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        # in UTF-8, as clients send it
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise fault("NaN and Infinity are not JSON") from error
    if size > _MAX_METADATA_BYTES:
        raise fault(f"metadata may have {_MAX_METADATA_BYTES} bytes of JSON, not {size}")
    return value


def _record(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


# The length is checked after cleaning; the schema shows the limit.
_LENGTH = Field(json_schema_extra={"minLength": 1, "maxLength": MAX_NAME_CHARACTERS})
Name = Annotated[str, _LENGTH, AfterValidator(_name)]
EmbeddedText = Annotated[str, _LENGTH, AfterValidator(embedded_text)]
Text = Annotated[str, Field(max_length=500), AfterValidator(_text)]


class LabelFields(BaseModel):
    """An action in words."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name = Field(
        description="The action, such as `riding a horse`. Names that differ only in case or "
        "spaces are the same label."
    )
    prompts: list[Text] = Field(
        default_factory=list,
        max_length=MAX_TEXTS,
        description="Further descriptions of the action, averaged with the name.",
    )
    aliases: list[Name] = Field(
        default_factory=list,
        max_length=MAX_TEXTS,
        description="Other names of the action, searched separately and reported as `name`.",
    )
    description: Text | None = Field(
        default=None, description="A sentence that describes the action."
    )
    language: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        max_length=35,
        description="Language tag (BCP 47) of the texts. A label in a language that the text model "
        "does not know gets a warning.",
    )
    threshold: float | None = Field(
        default=None, ge=0.0, le=1.0, description="Minimum score at which the label is reported."
    )
    enabled: bool = Field(default=True, description="A disabled label is stored but not searched.")
    metadata: Annotated[dict[str, JsonValue], AfterValidator(_metadata)] = Field(
        default_factory=dict,
        description="Any JSON object of up to 16 KiB; stored and returned unchanged.",
    )

    def new_label(self) -> NewLabel:
        """Return the label for the store."""
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
    """Return the values of the fields of LabelFields for a stored label."""
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
Labels = Annotated[list[LabelInput], Field(max_length=MAX_LABELS_PER_REQUEST)]


class PutLabels(BaseModel):
    """Labels to create or replace; a plain string is a label with only that name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: Labels


class PutSet(BaseModel):
    """New contents of a label set: a list of labels, or a copy of another set."""

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
    """Parse a JSON body; a byte order mark before it is ignored.

    Raises MalformedRequest with the position of the error, InvalidParameter with a pointer per
    fault, and UnsupportedMediaType for compressed bytes.
    """
    try:
        return model.model_validate_json(plain_utf8(body, "JSON"))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if broken := next((each for each in found if each["type"] == "json_invalid"), None):
            raise MalformedRequest(f"the body is not valid JSON: {json_fault(broken)}") from error
        raise invalid_labels([(each["loc"], each["msg"]) for each in found]) from error


def json_fault(found: ErrorDetails) -> str:
    """Return what is wrong with a text that is not JSON, and where, from pydantic's finding."""
    return found["msg"].removeprefix("Invalid JSON: ")


def new_labels(labels: Sequence[LabelFields]) -> list[NewLabel]:
    """Return the labels for the store. Raises InvalidParameter when two are the same label."""
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
    """Return the OpenAPI schema of a JSON body that is parsed in a thread, outside FastAPI."""
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
    """Return an error with a JSON pointer for each of the first (path, message) faults.

    A last entry has the number of further faults.
    """
    listed = [{"loc": ("body", *path), "msg": message} for path, message in faults[:_MAX_FAULTS]]
    if len(faults) > _MAX_FAULTS:
        more = f"{len(faults) - _MAX_FAULTS:,} more faults are not listed"
        listed.append({"loc": ("body",), "msg": more})
    return kind.of(listed)
