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

FOOT = """
## Labels in other languages

A checkpoint's videos were trained into the space of one text model. `KINOLEX_TEXT_MODEL` puts
another one in its place that knows more languages, if that was distilled from the first: taught to
give a sentence and its translations the vector that the first gives (the recipe that
sentence-transformers has for making models multilingual). Vectors of the same length are not
enough: `paraphrase-multilingual-MiniLM-L12-v2` has 384 numbers like `all-MiniLM-L6-v2`, the default
checkpoint's model, but learned from `paraphrase-MiniLM-L12-v2`, and is refused. At start 20 plain
English phrases are embedded by both models; at least 16 must be nearest to themselves, or the
service says so and ends. Stored labels are embedded anew when the model changes, in the background
where there are many, while replicas with the old model go on.
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
    return HEAD + "\n".join(rows()) + "\n" + FOOT


if __name__ == "__main__":
    print(page(), end="")
