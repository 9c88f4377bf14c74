"""Tell texts in languages that an English text model does not know, by the model's own vocabulary.

A tokenizer splits words that its model rarely saw into short pieces. Letters of a script that the
vocabulary hardly has, such as Japanese in an English model, are not known at all.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

# A vocabulary knows a script with this many tokens, or this many of several letters. The English
# BERT vocabulary has 488 single Chinese characters and 8 longer Cyrillic pieces.
_MIN_TOKENS = 1_000
_MIN_LONG_TOKENS = 200
# Marks of a piece that continues a word (WordPiece) and of one that begins it (SentencePiece).
_MARKS = re.compile("^(##|▁)")
# First characters of words in byte-level vocabularies, whose tokens show no letters of a script.
_BYTE_LEVEL = "Ġ"

_ENGLISH = """
a an the of on in at to with and or for by from into onto up down off out over under his her their
no not while through after before as is are being
"""
# Frequent words of other languages in Latin script that are no English words.
_FOREIGN = """
der das dem des ein eine einen einem einer eines und mit auf im zum zur vom beim ins ist sich nicht
ohne le les la du au aux à une et avec dans sur un el los las una con por del il gli nel della di
het een op aan um uma dos och ett bir en og
"""
# Ends of infinitives and nouns in German, Dutch, Spanish, Portuguese, Polish and Turkish.
_FOREIGN_ENDS = ("en", "ern", "eln", "ung", "ar", "ir", "anie", "mek", "mak", "ção")
# Letters with accents that English keeps in loan words such as épée and piñata.
_LOAN_LETTERS = frozenset("éèêñçâàî")


def known_scripts(vocabulary: Iterable[str]) -> frozenset[str] | None:
    """Return the scripts that a vocabulary knows, such as `LATIN` or `HIRAGANA`.

    None if the tokens do not show it.
    """
    tokens: Counter[str] = Counter()
    long_tokens: Counter[str] = Counter()
    for token in vocabulary:
        if token.startswith(_BYTE_LEVEL):
            return None
        bare = _MARKS.sub("", token)
        scripts = _scripts_of(bare)
        tokens.update(scripts)
        if len(bare) > 1:
            long_tokens.update(scripts)
    return frozenset(
        script
        for script, count in tokens.items()
        if count >= _MIN_TOKENS or long_tokens[script] >= _MIN_LONG_TOKENS
    )


def has_unknown_script(word: str, scripts: Collection[str]) -> bool:
    """Whether a word has a letter of a script that is not among `scripts`."""
    return not _scripts_of(word) <= set(scripts)


def is_not_english(words: Sequence[str], pieces: Sequence[Sequence[str]]) -> bool:
    """Whether a text in Latin script is probably in another language than English.

    `pieces` has the pieces of each word in an English vocabulary. A word of English grammar or an
    `-ing` form speaks for English. Against it speak frequent words, endings and letters of other
    languages, and several words of which the vocabulary has none as a whole.
    """
    english, foreign = set(_ENGLISH.split()), set(_FOREIGN.split())
    lower = [word.lower() for word in words]
    if any(word in english or word.endswith(("ing", "ings")) for word in lower):
        return False
    split = [word for word, parts in zip(lower, pieces, strict=True) if len(parts) > 1]
    whole = [word for word in lower if word not in split and word not in foreign]
    if any(word in foreign for word in lower) or any(map(_looks_foreign, split)):
        return len(whole) <= len(split)
    return len(words) > 1 and not whole


def _looks_foreign(word: str) -> bool:
    is_accented = any(
        sign.isalpha() and not sign.isascii() and sign not in _LOAN_LETTERS for sign in word
    )
    return word.endswith(_FOREIGN_ENDS) or is_accented


def _scripts_of(text: str) -> set[str]:
    """Return the scripts of the letters: the first words of their names, such as `LATIN`."""
    if text.isascii():
        return {"LATIN"} if any(sign.isalpha() for sign in text) else set()
    normal = unicodedata.normalize("NFKC", text)
    return {unicodedata.name(sign, "?").split()[0] for sign in normal if sign.isalpha()}
