"""Makes answers from JSON, by the types of their fields."""

from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from kinolex_client.errors import UnexpectedAnswer

Answer = TypeVar("Answer")


def decode(wanted: type[Answer], value: Any) -> Answer:
    """Return JSON as an answer; names that the answer does not have are ignored.

    Raises UnexpectedAnswer for JSON of another shape.
    """
    try:
        decoded: Answer = _decode(wanted, value)
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(f"this is no {wanted.__name__} of Kinolex: {error!r}") from error
    return decoded


def _decode(wanted: Any, value: Any) -> Any:
    if get_origin(wanted) is UnionType:
        if value is None:
            return None
        [wanted] = [kind for kind in get_args(wanted) if kind is not NoneType]
    if is_dataclass(wanted) and isinstance(wanted, type):
        return wanted(**{name: _decode(kind, value[name]) for name, kind in _types(wanted)})
    if get_origin(wanted) is list:
        [item] = get_args(wanted)
        return [_decode(item, each) for each in value]
    return datetime.fromisoformat(value) if wanted is datetime else value


@cache
def _types(wanted: type) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(wanted)
    return tuple((field.name, hints[field.name]) for field in fields(wanted))
