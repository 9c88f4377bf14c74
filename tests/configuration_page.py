"""docs/configuration.md from the settings; run as a module it prints the page."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.settings import PREFIX, Settings

HEAD = """# Configuration

Generated from `app/settings.py`; do not edit. Every setting is an environment variable, read once
when the service starts. A `KINOLEX_` variable that is none of these is reported in the log.
`kinolex serve` has options for host, port and workers, which win over the variables.

| variable | default | meaning |
|---|---|---|
"""


def bounds(field: FieldInfo) -> str:
    """The values that are allowed, in words; empty when every value of the type is."""
    if get_origin(field.annotation) is Literal:
        return " One of " + ", ".join(f"`{choice}`" for choice in get_args(field.annotation)) + "."
    words = {"ge": "at least", "gt": "over", "le": "at most", "lt": "under"}
    limits = [
        f"{words[name]} {getattr(limit, name):,.12g}"
        for limit in field.metadata
        for name in words
        if hasattr(limit, name)
    ]
    return f" {', '.join(limits).capitalize()}." if limits else ""


def default(field: FieldInfo) -> str:
    """The default as one would write it into the environment."""
    value: Any = field.default
    if value is PydanticUndefined:
        return "computed"
    return f"`{value}`" if value not in ("", ()) else ""


def rows() -> Iterator[str]:
    """One line of the table per setting."""
    for name, field in Settings.model_fields.items():
        meaning = f"{field.description}{bounds(field)}"
        yield f"| `{PREFIX}{name.upper()}` | {default(field)} | {meaning} |"


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(rows()) + "\n"


if __name__ == "__main__":
    print(page(), end="")
