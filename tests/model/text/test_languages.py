"""Scripts of a vocabulary, and texts that an English vocabulary shows to be in another language."""

import pytest

from model.text.languages import has_unknown_script, is_not_english, known_scripts

ENGLISH = [f"word{chr(97 + number % 26)}" for number in range(1_000)]
LETTERS = [chr(code) for code in range(0x0430, 0x0450)]
RUSSIAN = [f"\u2581{one}{other}" for one in LETTERS for other in LETTERS]
CHINESE = [chr(0x4E00 + number) for number in range(2_000)]


def test_a_few_letters_are_no_knowledge_of_a_script() -> None:
    assert known_scripts([*ENGLISH, *LETTERS, *CHINESE[:488]]) == frozenset({"LATIN"})


def test_long_pieces_or_many_characters_are() -> None:
    assert known_scripts([*ENGLISH, *RUSSIAN, *CHINESE]) == frozenset({"LATIN", "CYRILLIC", "CJK"})


def test_a_vocabulary_of_bytes_does_not_show_its_scripts() -> None:
    assert known_scripts([*ENGLISH, "\u0120word"]) is None


@pytest.mark.parametrize(
    ("word", "is_unknown"),
    [
        ("épée", False),
        ("走る", True),
        ("T-シャツ", True),
        ("\uff52\uff55\uff4e", False),
        ("!", False),
        ("7", False),
    ],  # full width
)
def test_a_word_has_the_scripts_of_its_letters(word: str, is_unknown: bool) -> None:
    assert has_unknown_script(word, {"LATIN"}) == is_unknown


@pytest.mark.parametrize(
    ("pieces", "is_other"),
    [
        ([["fa", "##hr", "##rad"], ["fa", "##hre", "##n"]], True),
        ([["ski"], ["fa", "##hre", "##n"]], True),
        ([["ein"], ["mann"], ["lau", "##ft"]], True),
        ([["lau", "##fen"]], True),
        ([["riding"], ["a"], ["horse"]], False),
        ([["cape", "##ira"]], False),
        ([["mat", "##cha"], ["w", "##his", "##king"]], False),
        ([["crossing"], ["the"], ["fa", "##hren"]], False),
        ([["kids", "\u2019"], ["party"]], False),
    ],
)
def test_words_endings_and_pieces_tell_other_languages(
    pieces: list[list[str]], is_other: bool
) -> None:
    words = ["".join(each).replace("##", "") for each in pieces]

    assert is_not_english(words, pieces) == is_other
