"""Labels in an option of a request: a list separated by commas, or a JSON array."""

import csv
import json

_EXAMPLE = (
    'write labels=cat,dog or labels=["cat", "dog"], or repeat the option: labels=cat&labels=dog'
)
# Also the commas and semicolons of Chinese, Japanese and Arabic.
_OTHER_SEPARATORS = ";|，、；،؛"  # noqa: RUF001  # those are meant
_OPENING_QUOTES = "'‘“„«"  # noqa: RUF001  # quotes of texts that people paste
_CLOSING_QUOTES = "'’”“»"  # noqa: RUF001  # the same
# Where they enclose several names, no name has both.
_CURLED = "“”„«»"


def split_labels(value: str) -> list[str]:
    """Return the names in one value of the option `labels`; commas or line breaks separate them.

    A value that begins with `[` is a JSON array of names. Double quotes protect a comma inside a
    name. Raises ValueError, with an example, for a value that is not such a list or has no name.
    """
    text = value.strip()
    names = _from_json(text) if text.startswith(("[", "{")) else _from_list(text)
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise ValueError(f"has no label; {_EXAMPLE}")
    for name in names:
        is_quoted = len(name) > 1 and name[0] in _OPENING_QUOTES and name[-1] in _CLOSING_QUOTES
        if is_quoted or name[0] in _CURLED or name[-1] in _CURLED:
            raise ValueError(f"{name} is in quotes other than double quotes; {_EXAMPLE}")
    return names


def _from_json(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(
            f"is not a JSON array of names; {_EXAMPLE}; "
            "a name that begins with a bracket goes in double quotes"
        )
    return found


def _from_list(text: str) -> list[str]:
    separator = next((sign for sign in _OTHER_SEPARATORS if sign in text), None)
    if separator is not None and '"' not in text:
        raise ValueError(
            f"has {separator!r} in a name, commas separate names; {_EXAMPLE}; "
            f"a name that holds {separator!r} goes in double quotes"
        )
    # a line break separates too
    lines = [text.replace("\r", "\n").replace("\n", ",")]
    try:
        return [
            name for row in csv.reader(lines, skipinitialspace=True, strict=True) for name in row
        ]
    except csv.Error as error:
        raise ValueError(f"has a double quote that does not enclose a name; {_EXAMPLE}") from error
