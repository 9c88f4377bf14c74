"""Labels as users write them: the `Label` value, its display name, and its key."""

import unicodedata
from dataclasses import dataclass

from model.errors import LabelError

MAX_NAME_CHARACTERS = 200


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


def clean_name(name: str) -> str:
    """Return a label's name for display: Unicode NFC, trimmed, single spaces.

    Raises LabelError when the name has no visible character, is over MAX_NAME_CHARACTERS, or
    contains control characters.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not any(unicodedata.category(character)[0] in "LNPS" for character in cleaned):
        raise LabelError("a label needs a name that is not empty")
    if len(cleaned) > MAX_NAME_CHARACTERS:
        raise LabelError(
            f"a label's name may have {MAX_NAME_CHARACTERS} characters, this one has {len(cleaned)}"
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in cleaned):
        raise LabelError("a label's name may not hold control characters")
    return cleaned


def label_key(name: str) -> str:
    """Return the key that identifies a label: its clean name, casefolded.

    Raises LabelError like `clean_name`.
    """
    return unicodedata.normalize("NFC", clean_name(name).casefold())
