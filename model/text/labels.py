"""Labels as users write them: the `Label` value, its display name, and its key."""

import re
import unicodedata
from dataclasses import dataclass

from model.errors import LabelError

MAX_NAME_CHARACTERS = 200

# Unicode's property Default_Ignorable_Code_Point: characters that no font draws. Labels that differ
# only in them look the same.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# Those of them that change how their neighbours are drawn: joiners and variation selectors.
_JOINER = re.compile("[\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Categories of the characters that they apply to: letters without case, and symbols.
_JOINED = ("Lo", "Sm", "Sk", "So")


@dataclass(frozen=True, slots=True)
class Label:
    """An action in the user's words.

    `prompts` are further descriptions of the action; their vectors are averaged with the name's.
    Each of `aliases` is another name with a vector of its own, reported under `name`. `threshold`
    is the minimum score (0..1) at which the label is reported; None sets no minimum.

    Raises LabelError when a text cannot be embedded or the threshold is out of range.
    """

    name: str
    prompts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    description: str | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            clean_name(name)
        for text in (*self.prompts, *([self.description] if self.description else [])):
            if not text.strip():
                raise LabelError(f"a prompt of {self.name!r} is empty")
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise LabelError(f"a text of {self.name!r} is not valid Unicode")
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise LabelError(f"the threshold of {self.name!r} must be in 0..1")


def clean_name(name: str, *, what: str = "a label's name") -> str:
    """Return a label's name for display: `clean_text`, checked.

    Raises LabelError, about `what`, when the name has no visible character, is over
    MAX_NAME_CHARACTERS, or contains control characters.
    """
    cleaned = clean_text(name)
    if not any(unicodedata.category(character)[0] in "LNPS" for character in cleaned):
        raise LabelError(f"{what} is empty")
    if len(cleaned) > MAX_NAME_CHARACTERS:
        raise LabelError(
            f"{what} may have {MAX_NAME_CHARACTERS} characters, this one has {len(cleaned)}"
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in cleaned):
        raise LabelError(f"{what} may not hold control characters")
    return cleaned


def clean_text(text: str) -> str:
    """Return a text in Unicode NFC, trimmed, with single spaces and without invisible characters.

    A joiner or variation selector stays where a script or an emoji needs it: after a letter of a
    script without case (Persian, Hindi) or a symbol.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        if _INVISIBLE.search(text):
            text = unicodedata.normalize("NFC", _without_invisible(text))
    return " ".join(text.split())


def label_key(name: str) -> str:
    """Return the key that identifies a label: its clean name, casefolded.

    Joiners and variation selectors do not count either. Raises LabelError like `clean_name`.
    """
    cleaned = clean_name(name)
    if cleaned.isascii():
        return cleaned.lower()
    visible = unicodedata.normalize("NFC", _INVISIBLE.sub("", cleaned))
    return unicodedata.normalize("NFC", visible.casefold())


def _without_invisible(text: str) -> str:
    kept: list[str] = []
    base = ""
    for character in text:
        if _INVISIBLE.match(character):
            if _JOINER.match(character) and base and unicodedata.category(base) in _JOINED:
                kept.append(character)
            continue
        kept.append(character)
        if unicodedata.category(character)[0] != "M":
            base = character
    return "".join(kept)
