"""Converts dataclasses to JSON messages and back; checks fields, types and finite numbers.

Written by hand because a decode worker loads it: pydantic would add 0.1 s of processor time and
8 MB of private memory to each worker (decision 23).
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache, partial
from types import NoneType, UnionType
from typing import (
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)


class ProtocolError(Exception):
    """The protocol does not allow a message."""


class Message(Protocol):
    """A frozen dataclass with a unique name, `kind`."""

    kind: ClassVar[str]


_Message = TypeVar("_Message", bound=Message)
# Checks a value from JSON and converts it to the value of a dataclass's field.
_Reader: TypeAlias = Callable[[Any], Any]


def encode(message: Message) -> bytes:
    """Return the message as one JSON object: its `kind` and its fields.

    Raises ValueError for a number that is not finite.
    """
    return _ENCODER.encode({"kind": message.kind, **_fields(message)}).encode()


def decode(data: bytes, kinds: Sequence[type[_Message]]) -> _Message:
    """Read a message of one of these kinds. Raises ProtocolError for everything else."""
    try:
        values = json.loads(data)
        name = values.pop("kind")
        (kind,) = [kind for kind in kinds if kind.kind == name]
        message: _Message = _reader(kind)(values)
        return message
    except _INVALID as error:
        names = ", ".join(kind.kind for kind in kinds)
        raise ProtocolError(f"not a valid message ({names}): {error!r:.200}") from error


# Errors of reading bytes that are not a valid message.
_INVALID = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _names(value.__class__)}


@lru_cache(maxsize=64)
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


_ENCODER = json.JSONEncoder(default=_fields, allow_nan=False, separators=(",", ":"))


@lru_cache(maxsize=64)
def _reader(expected: Any) -> _Reader:
    """Return a function that reads values of this type; it raises TypeError or ValueError."""
    if expected is float:
        return _read_float
    if expected is str:
        return _read_text
    if expected in (int, bool, list):
        return partial(_read_exactly, expected)
    if is_dataclass(expected):
        return partial(_read_dataclass, expected, _readers(expected))
    return _reader_of_parts(expected)


def _readers(kind: Any) -> dict[str, _Reader]:
    hints = get_type_hints(kind)
    return {name: _reader(hints[name]) for name in _names(kind)}


def _reader_of_parts(expected: Any) -> _Reader:
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is Literal and all(type(argument) is str for argument in arguments):
        return partial(_read_choice, arguments)
    if origin is tuple and arguments[1:] == (...,):
        return partial(_read_row, _reader(arguments[0]))
    if origin is UnionType and arguments[1:] == (NoneType,):
        return partial(_read_optional, _reader(arguments[0]))
    raise TypeError(f"messages have no fields of the type {expected}")


def _read_exactly(expected: type, value: Any) -> Any:
    # not isinstance: True is an int
    if type(value) is not expected:
        raise TypeError(f"{expected.__name__} expected, not {type(value).__name__}")
    return value


def _read_float(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError("finite number expected")
    return float(value)


def _read_text(value: Any) -> str:
    text: str = _read_exactly(str, value)
    text.encode()  # raises for a lone surrogate, which cannot be sent on
    return text


def _read_choice(choices: tuple[str, ...], value: Any) -> str:
    return choices[choices.index(_read_exactly(str, value))]


def _read_row(read: _Reader, value: Any) -> tuple[Any, ...]:
    return tuple(map(read, _read_exactly(list, value)))


def _read_optional(read: _Reader, value: Any) -> Any:
    return None if value is None else read(value)


def _read_dataclass(kind: Any, readers: dict[str, _Reader], values: Any) -> Any:
    if type(values) is not dict or values.keys() != readers.keys():
        raise TypeError(f"{kind.__name__} has the fields {', '.join(readers)}")
    return kind(**{name: read(values[name]) for name, read in readers.items()})
