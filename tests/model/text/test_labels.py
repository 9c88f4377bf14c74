"""Spellings of a name are one label, and invalid labels raise errors."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import LabelError
from model.text.labels import Label, clean_name, label_key, look_alike_letters, plain_text
from tests.support.spellings import full_width


def cleaned(text: str) -> str | None:
    try:
        return clean_name(text)
    except LabelError:
        return None


# any Unicode text, and combinations of letters and spaces with special cases
names = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(
            "aÅßéİﬁΣςǰ\u0301\u0345 \t\u00a0\u2003/\u200b\u200d\u034f\ufe0f\u0645❤="
            "\uff2a\uff9e\u2019\u00a8\u03d3"
        ),
        max_size=12,
    ).map("".join),
).filter(lambda text: cleaned(text) is not None)


@given(names)
def test_cleaning_a_name_is_idempotent(name: str) -> None:
    once = clean_name(name)
    assert clean_name(once) == once
    assert once == unicodedata.normalize("NFC", once).strip()
    assert "  " not in once


@given(names)
def test_every_spelling_of_a_name_has_the_same_key(name: str) -> None:
    key = label_key(name)
    assert label_key(clean_name(name)) == key
    assert label_key(f" \t{name}\u00a0") == key
    assert label_key(unicodedata.normalize("NFC", name)) == key
    if cleaned(unicodedata.normalize("NFD", name)) is not None:
        assert label_key(unicodedata.normalize("NFD", name)) == key
    # folding case may make a name longer than a name may be
    if cleaned(key) is not None:
        assert label_key(key) == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Riding a Horse", "riding  a horse "),
        ("cafe\u0301", "CAFÉ"),
        ("STRASSE", "straße"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ﬁshing", "FISHING"),
        ("paddling/canoeing", "Paddling/Canoeing"),
        ("می\u200cدود", "میدود"),
        ("❤\ufe0f", "❤"),
        ("\N{HANGUL FILLER}running", "running"),
        (full_width("jumping\u3000Rope"), "jumping rope"),
        ("\uff8b\uff9f\uff71\uff89", "ピアノ"),
        ("\ufe97\ufea8\ufedc", "\u062a\u062e\u0643"),
        ("\u2fba", "馬"),
        ("\U0001d42bun", "run"),
        ("parents\u2019 dance", "parents' dance"),
        ("tai\u2011chi", "tai-chi"),
        ("tai\u2013chi", "tai-chi"),
        ("1\u2044\u0032 mile", "½ mile"),
    ],
)
def test_spellings_of_one_label_have_equal_keys(one: str, other: str) -> None:
    assert label_key(one) == label_key(other)


def test_letters_of_full_width_are_kept_for_display_and_embedded_as_plain_ones() -> None:
    assert clean_name(full_width("jumping")) == full_width("jumping")
    assert plain_text(full_width("jumping")) == "jumping"
    assert plain_text("a child\u2019s \u201cfirst\u201d \ufb01sh") == 'a child\'s "first" fish'
    assert plain_text("ピアノを弾く 👩\u200d🚒") == "ピアノを弾く 👩\u200d🚒"


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("r\u0443nning", "\u0443"),
        ("j\u03bfgging in \u0440\u0430rk", "\u03bf\u0440\u0430"),
        ("\u0431\u0435\u0433", ""),
        ("\u0431\u0435\u0433 and running", ""),
        ("\u03bc-opioid", ""),
        ("café", ""),
    ],
)
def test_letters_of_other_scripts_that_look_latin_are_found(name: str, letters: str) -> None:
    assert look_alike_letters(name) == tuple(letters)


@pytest.mark.parametrize(
    ("one", "other"), [("resume", "résumé"), ("rowing", "row ing"), ("ride", "ride.")]
)
def test_different_labels_have_different_keys(one: str, other: str) -> None:
    assert label_key(one) != label_key(other)


@pytest.mark.parametrize(
    "invisible",
    [
        "\u00ad",
        "\u034f",
        "\u200b",
        "\u200d",
        "\u200e",
        "\u202e",
        "\u2060",
        "\ufe0f",
        "\ufeff",
        "\U000e0041",
    ],
)
def test_invisible_characters_are_removed_from_a_name(invisible: str) -> None:
    looks_the_same = f"{invisible}run{invisible}ning {invisible}"

    assert clean_name(looks_the_same) == label_key(looks_the_same) == "running"


@pytest.mark.parametrize(
    "name",
    ["می\u200cدود", "क्\u200dष", "न्\u200d", "👩\u200d🚒", "❤\ufe0f", "♀\ufe0f", "葛\U000e0100"],
    ids=["Persian", "Hindi", "at the end", "emoji", "heart", "sign", "ideograph"],
)
def test_a_name_keeps_the_joiners_of_its_script_for_display(name: str) -> None:
    assert clean_name(name) == name


def test_a_name_keeps_its_case_for_display() -> None:
    assert clean_name("  Playing\tthe   Cello ") == "Playing the Cello"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "is empty"),
        (" \t\u00a0\u2003", "is empty"),
        ("\u200b\u200d\ufe0f", "is empty"),
        ("\N{HANGUL FILLER}\u2066", "is empty"),
        ("a" * 201, "200 characters, this one has 201"),
        ("a\x00b", "control characters"),
        ("a\x7fb", "control characters"),
        ("a\ud800b", "control characters"),
    ],
)
def test_an_invalid_name_is_refused(wrong: str, said: str) -> None:
    with pytest.raises(LabelError, match=said):
        clean_name(wrong)
    with pytest.raises(LabelError, match=said):
        label_key(wrong)
    with pytest.raises(LabelError, match=said):
        Label(wrong)
    with pytest.raises(LabelError, match=said):
        Label("juggling", aliases=("balls", wrong))


def test_the_longest_name_is_counted_after_cleaning() -> None:
    assert len(clean_name("  " + "e\u0301" * 200)) == 200


@pytest.mark.parametrize(
    "make",
    [
        lambda: Label("juggling", prompts=("fine", " ")),
        lambda: Label("juggling", prompts=("not \udcff Unicode",)),
        lambda: Label("juggling", description="not \ud800 Unicode"),
        lambda: Label("juggling", threshold=1.5),
        lambda: Label("juggling", threshold=float("nan")),
    ],
    ids=["empty prompt", "prompt", "description", "high threshold", "threshold NaN"],
)
def test_a_label_with_an_invalid_text_or_threshold_is_refused(make: Callable[[], Label]) -> None:
    with pytest.raises(LabelError, match="juggling"):
        make()
