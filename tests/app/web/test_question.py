"""What is asked, and how the answer is shown."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from model import likelihood
from tests.app.web.actions import ask, drop, labels_of_tags, wait_for_player
from tests.support.clips import write_clip
from tests.support.fakes import PatientEncoder, colour_tagger, sure_tagger

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_dropped_video_is_played_and_its_tags_have_bars(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page()
    ask(page, 'red, green, "both , red and green"')
    drop(page, red)
    assert labels_of_tags(page) == ["red", "both , red and green", "green"]
    page.locator("#threshold").fill("0")
    scores = [int(text.removesuffix(" %")) for text in page.locator(".tag-score").all_inner_texts()]
    bars = [
        bar.evaluate("(bar) => 100 * bar.firstElementChild.offsetWidth / bar.offsetWidth")
        for bar in page.locator(".tag-bar").all()
    ]
    assert scores[0] > scores[1] > scores[2]
    assert bars == pytest.approx(scores, abs=1.5)
    words = page.locator(".tag-likelihood").all_inner_texts()
    assert words == [likelihood(score / 100) for score in scores]
    wait_for_player(page, "videoWidth", 64)
    assert "your words" in page.locator("#facts").inner_text()


def test_words_are_chips_that_the_address_holds(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page()
    drop(page, red)
    labels_of_tags(page)
    page.locator("#word").press_sequentially('red, "a, b",RED,')
    page.locator(".chip").nth(1).wait_for()
    assert page.locator(".chip span").all_inner_texts() == ["red", "a, b"]
    page.locator("#facts", has_text="your words").wait_for()
    assert labels_of_tags(page) == ["red", "a, b"]
    assert "label=red&label=a, b" in unquote(page.url).replace("+", " ")

    page.get_by_role("button", name="Remove a, b").click()
    page.locator(".tag-label", has_text="a, b").wait_for(state="detached")
    page.press("#word", "Backspace")
    page.locator("#facts", has_text="labels “default”").wait_for()
    assert page.locator(".chip").count() == 0


def test_words_become_a_label_set(open_page: "Callable[..., Page]", red: Path) -> None:
    page = open_page()
    ask(page, "red, green")
    drop(page, red)
    labels_of_tags(page)
    page.click("#words-save")
    page.fill("#save-name", "default")
    page.press("#save-name", "Enter")
    page.get_by_text("There is a label set “default” already").wait_for()
    page.fill("#save-name", "colours")
    page.press("#save-name", "Enter")
    page.locator("#facts", has_text="labels “colours”").wait_for()
    assert page.locator("#set").input_value() == "colours"
    assert labels_of_tags(page) == ["red", "green"]
    assert page.url.endswith("set=colours")


def test_none_of_these_is_shown_when_no_label_fits(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page(tagger=colour_tagger())
    ask(page, "blue")
    drop(page, red)
    page.locator(".unknown-title", has_text="None of these").wait_for()
    assert page.locator(".weaker[open] .tag-label").inner_text() == "blue"
    page.get_by_role("button", name=re.compile("^nothing found, 0.0 to 2.0 s")).wait_for()


def test_the_threshold_divides_tags_and_spans(
    open_page: "Callable[..., Page]", red_then_blue: Path
) -> None:
    page = open_page()
    ask(page, "red, blue, green")
    drop(page, red_then_blue)
    labels_of_tags(page)
    page.locator("#threshold").fill("50")
    assert page.locator("#answer > .tags .tag-label").all_inner_texts() == ["blue", "red"]
    assert page.locator(".weaker .tag-label").all_text_contents() == ["green"]
    assert sorted(page.locator(".lane-name").all_inner_texts()) == ["blue", "red"]
    page.locator("#threshold").fill("95")
    page.locator("#threshold").press("End")
    page.reload()
    assert page.locator("#threshold-text").inner_text() == "95 %"


def test_choosing_a_moment_moves_the_player_to_it(
    open_page: "Callable[..., Page]", red_then_blue: Path
) -> None:
    page = open_page()
    ask(page, "red, blue")
    drop(page, red_then_blue)
    page.get_by_role("button", name=re.compile("^blue, ")).click()
    wait_for_player(page, "currentTime", 4)
    moved = page.locator(".playhead").evaluate("(head) => head.style.getPropertyValue('--at')")
    assert float(moved) >= 4 / 12
    page.get_by_role("button", name=re.compile("^Go to red, 0.0 to ")).click()
    page.locator(".playhead[style*='--at: 0;']").wait_for(state="attached")


def test_markup_in_a_label_is_shown_as_text(open_page: "Callable[..., Page]", red: Path) -> None:
    page = open_page()
    ask(page, "<img src=x onerror=alert(1)> red")
    drop(page, red)
    assert labels_of_tags(page) == ["<img src=x onerror=alert(1)> red"]
    assert page.locator("main img").count() == 0


def test_the_timeline_grows_while_the_service_works(
    open_page: "Callable[..., Page]", tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    # every second a little darker: equal frames are encoded once
    reds = [(220 - 5 * second, 30, 30) for second in range(12)]
    write_clip(film, seconds_colours=[*reds, *((30, 30, red) for red, _, _ in reds)])
    encoder = PatientEncoder()
    encoder.sign.set()
    # the service has reported the first window by then
    encoder.stop_after = 5
    page = open_page(tagger=sure_tagger(encoder))
    ask(page, "red, blue")
    drop(page, film)
    try:
        page.locator("#status", has_text=re.compile(r"Looking at the video \d+ %")).wait_for()
        page.get_by_text("So far, until the whole video was looked at:").wait_for()
        assert page.locator(".growing .lane-name").first.inner_text() == "red"
        done = page.locator("#progress").evaluate("(bar) => bar.value")
        assert 0 < done < 1
        ahead = page.locator(".ahead").evaluate("(part) => part.style.getPropertyValue('--at')")
        assert 0 < float(ahead) < 1
    finally:
        encoder.more.set()
    assert set(labels_of_tags(page)) == {"red", "blue"}
    assert page.locator(".growing, .ahead").count() == 0
    page.get_by_role("button", name=re.compile(r"^blue, 1\d.\d to 24.0 s")).wait_for()
