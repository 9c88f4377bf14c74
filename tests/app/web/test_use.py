"""The page without a mouse, on a phone, enlarged, in the dark, and for screen readers."""

import csv
import io
import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.app.web.actions import (
    DESK,
    PHONE,
    add_label,
    ask,
    drop,
    labels_of_tags,
    open_labels,
    tab_to,
    wait_for_player,
)
from tests.support.fakes import colour_tagger

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

pytestmark = pytest.mark.browser

# What a browser of 1280 px shows at 200 %.
ENLARGED: "ViewportSize" = {"width": 640, "height": 450}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def findings(page: "Page", within: str = "html") -> list[str]:
    """What axe-core finds wrong in this part of the page as it is now."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate("([part, tags]) => axe.run(part, { runOnly: tags })", [within, RULES])
    return [
        f"{violation['id']}: {node['html'][:120]} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def scrolls_sideways(page: "Page") -> bool:
    """Whether the page is wider than the window."""
    root = page.locator("html")
    width: int = root.evaluate("(root) => root.scrollWidth")
    return width > int(root.evaluate("(root) => root.clientWidth"))


def test_everything_can_be_done_without_a_mouse(
    open_page: "Callable[..., Page]", red_then_blue: Path
) -> None:
    page = open_page()
    page.on("filechooser", lambda chooser: chooser.set_files(red_then_blue))
    tab_to(page, "#word")
    page.keyboard.type("red, blue")
    page.keyboard.press("Enter")
    tab_to(page, "#file")
    page.keyboard.press("Enter")
    labels_of_tags(page)
    tab_to(page, ".span")
    # the rows are in the order of the scores, which are nearly equal
    focused = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("ArrowDown")
    if not page.evaluate(focused).startswith("blue"):
        page.keyboard.press("ArrowUp")
    assert page.evaluate(focused).startswith("blue")
    page.keyboard.press("Enter")
    wait_for_player(page, "currentTime", 4)
    tab_to(page, "#labels-open", key="Shift+Tab")
    page.keyboard.press("Enter")
    page.locator("#labels-list li").first.wait_for()
    assert page.evaluate("document.activeElement.id") == "label-name"
    page.keyboard.type("blue sky")
    page.keyboard.press("Enter")
    page.locator("#labels-list .fresh").wait_for()
    tab_to(page, ".label-open")
    page.keyboard.press("Delete")
    page.get_by_text("Removed “blue sky”.").wait_for()
    assert page.evaluate("document.activeElement.className") == "label-open"
    # the list is one stop of the Tab key
    assert page.locator("#labels-list [tabindex='0']").count() == 2
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "labels-open"


@pytest.mark.slow
@pytest.mark.parametrize(("viewport", "is_dark"), [(DESK, False), (PHONE, True), (ENLARGED, False)])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    open_page: "Callable[..., Page]",
    red_then_blue: Path,
    tmp_path: Path,
    viewport: "ViewportSize",
    is_dark: bool,
) -> None:
    page = open_page(viewport, colour_tagger(), is_dark=is_dark)
    assert findings(page) == []
    ask(page, "red, blue, " + "a very long label without an end " * 5 + ", " + "x" * 150)
    notes = tmp_path / f"{'a long name ' * 12}.txt"
    notes.write_text("no video in here")
    drop(page, red_then_blue, notes)
    assert len(labels_of_tags(page)) == 4
    page.fill("#search-words", "red")
    page.press("#search-words", "Enter")
    page.locator(".found-span").first.wait_for()
    page.get_by_role("button", name="Wrong: ").first.click()
    assert findings(page) == []
    page.click("#more")
    assert findings(page, "#share") == []
    assert not scrolls_sideways(page)
    page.keyboard.press("Escape")
    page.locator(".entry-choose", has_text="a long name").click()
    page.locator("#problem .problem").wait_for()
    assert findings(page) == []
    assert not scrolls_sideways(page)
    open_labels(page)
    assert findings(page) == []
    page.locator("#labels-list .label-open").first.click()
    page.get_by_text("None yet.").wait_for()
    assert findings(page) == []
    assert not scrolls_sideways(page)


def test_an_answer_is_saved_in_four_formats(
    open_page: "Callable[..., Page]", red_then_blue: Path
) -> None:
    page = open_page()
    ask(page, 'red, "blue, <b>", green')
    drop(page, red_then_blue)
    labels_of_tags(page)
    page.locator("#threshold").fill("50")

    def saved(name: str) -> str:
        page.click("#more")
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        assert re.fullmatch(r"red then blue\.(json|csv|srt|vtt)", download.value.suggested_filename)
        # the path, because the lines end as the format says
        return Path(download.value.path()).read_bytes().decode()

    answer = json.loads(saved("JSON"))
    assert {tag["label"] for tag in answer["tags"]} == {"red", "blue, <b>", "green"}
    rows = list(csv.DictReader(io.StringIO(saved("CSV"))))
    assert [row["label"] for row in rows] == ["red", "blue, <b>"]
    assert [float(row["start"]) for row in rows] == sorted(float(row["start"]) for row in rows)
    srt = saved("SRT").split("\n\n")
    assert re.match(r"1\n00:00:00,000 --> 00:00:0\d,\d{3}\nred \(\d+ %\)", srt[0])
    vtt = saved("WebVTT")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert "blue, &lt;b&gt;" in vtt


def test_a_phone_shows_the_labels_over_the_whole_width(open_page: "Callable[..., Page]") -> None:
    page = open_page(PHONE)
    open_labels(page)
    add_label(page, "blue sky")
    assert page.locator("#drawer").evaluate("(drawer) => drawer.offsetWidth") == PHONE["width"]
