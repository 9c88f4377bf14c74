"""docs/configuration.md from the settings; run as a module it prints the page."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.settings import PREFIX, Settings

HEAD = """# Configuration

Generated from `app/settings.py`; do not edit. Every setting is an environment variable that is read
once, when the service starts. A `KINOLEX_` variable that is not a setting is reported in the log.
The options of `kinolex serve` for host, port and number of workers override the variables.

| variable | default | meaning |
|---|---|---|
"""

FOOT = """
## Labels in other languages

The text model of the default checkpoint knows English. A label in another language is stored, but
the answer to the write has the warning `not_understood`. The language is guessed from the words,
unless the label has a `language`: other scripts are always found, German and Spanish nine times of
ten, French in two phrases of three, and some languages rarely; of 4,075 English labels, 20 get the
warning ([decision 40](decisions/0040-labels-as-people-write-them.md)).

The videos of a checkpoint were trained into the space of one text model. `KINOLEX_TEXT_MODEL`
replaces that model by a multilingual one, which must be distilled from it: trained to give a
sentence and its translations the vector of the original model (sentence-transformers has a recipe
for making models multilingual). The same number of dimensions is not enough. For example,
`paraphrase-multilingual-MiniLM-L12-v2` has 384 dimensions like `all-MiniLM-L6-v2`, the model of the
default checkpoint, but is distilled from `paraphrase-MiniLM-L12-v2`, and is refused.

At start, both models embed 20 plain English phrases. The service ends with an error unless at least
16 phrases are nearest to themselves. When the model changes, stored labels are embedded again, in
the background if there are many, while replicas with the old model keep running.
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
