"""Metadata of videos: names and texts that the caller gives, stored and searched as they are."""

import json
import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from app.labels.fields import fault

MAX_ENTRIES = 16
MAX_VALUE = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise fault('is not a JSON object such as {"camera": "north"}') from error


def _checked(value: dict[str, str]) -> dict[str, str]:
    if len(value) > MAX_ENTRIES:
        raise fault(f"may have {MAX_ENTRIES} entries, not {len(value)}")
    for name, text in value.items():
        if not _NAME.fullmatch(name):
            raise fault("a name has 1 to 64 letters, digits, '_' or '-'")
        if len(text) > MAX_VALUE:
            raise fault(f"a text may have {MAX_VALUE} characters")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            raise fault("control characters are not allowed")
    return value


# a mapping, or its JSON
Metadata = Annotated[dict[str, str], BeforeValidator(_parsed), AfterValidator(_checked)]
