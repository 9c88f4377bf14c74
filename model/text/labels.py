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
# Quotes and dashes that word processors put in place of those of a keyboard.
_KEYBOARD = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d\u201f", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"),
    }
)
# Letters of Cyrillic and Greek that look like Latin ones.
_LOOK_ALIKES = re.compile(
    "[\u0405\u0406\u0408\u0410\u0412\u0415\u041a\u041c-\u041e\u0420-\u0423\u0425\u0430\u0435\u043e\u0440"
    "\u0441\u0443\u0445\u0455\u0456\u0458\u04bb\u0501\u051a-\u051d\u0391\u0392\u0395-\u0397\u0399\u039a\u039c"
    "\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf]"
)
_WORD = re.compile(r"[^\W\d_]+")


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


def plain_text(text: str) -> str:
    """Return a text as it is embedded: look-alike characters in their plain form.

    Letters of full width, ligatures and other compatibility characters are those of NFKC; curly
    quotes and dashes are those of a keyboard.
    """
    if text.isascii():
        return text
    return " ".join(unicodedata.normalize("NFKC", text).translate(_KEYBOARD).split())


def folded_text(text: str) -> str:
    """Return a text as it is compared: plain, casefolded and without invisible characters."""
    if text.isascii():
        return " ".join(text.split()).lower()
    # in the order of Unicode's NFKC_Casefold: folding case may bring characters that NFKC changes
    folded = unicodedata.normalize("NFD", _INVISIBLE.sub("", text))
    for _ in range(2):
        folded = plain_text(folded.casefold())
    return _INVISIBLE.sub("", folded)


def look_alike_letters(text: str) -> tuple[str, ...]:
    """Return the Cyrillic and Greek letters that look Latin, in words with Latin letters too."""
    if text.isascii():
        return ()
    words = [word for word in _WORD.findall(plain_text(text)) if any(map(_is_latin, word))]
    return tuple(dict.fromkeys(letter for word in words for letter in _LOOK_ALIKES.findall(word)))


def label_key(name: str) -> str:
    """Return the key that identifies a label: its clean name, folded.

    Raises LabelError like `clean_name`.
    """
    return folded_text(clean_name(name))


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN ")


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
