"""The drawer of labels: sets, words, examples, files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.app.web.actions import (
    add_label,
    ask,
    drop,
    labels_of_tags,
    open_labels,
    uploads,
    wait_for_answer,
    wait_for_row,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def stored(page: "Page", address: str) -> Any:
    """The JSON at an address of the service."""
    return page.evaluate("(address) => fetch(address).then((answer) => answer.json())", address)


def test_an_added_label_is_asked_of_every_kept_video(
    open_page: "Callable[..., Page]", red: Path, blue: Path
) -> None:
    page = open_page()
    sent = uploads(page)
    drop(page, red, blue)
    wait_for_answer(page, "red.mp4")
    wait_for_answer(page, "blue.mp4")
    assert "Something red" not in labels_of_tags(page)
    open_labels(page)
    add_label(page, "Something   red")
    wait_for_row(page, "red.mp4", "Something red · likely")
    page.get_by_text("Added “Something   red”. In red.mp4: likely, 9").wait_for()
    page.click("#drawer-close")
    assert labels_of_tags(page)[0] == "Something red"
    assert page.evaluate("document.activeElement.id") == "labels-open"
    assert len(sent) == 2


def test_a_removed_label_is_not_asked_and_can_be_restored(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page()
    drop(page, red)
    labels_of_tags(page)
    open_labels(page)
    add_label(page, "red / crimson")
    page.get_by_role("button", name="red / crimson", exact=True).click()
    page.fill("#label-prompts", "all is red")
    page.locator("#label-threshold").fill("20")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved “red / crimson”.").wait_for()
    wait_for_row(page, "red.mp4", "red / crimson")
    page.get_by_role("button", name="Remove red / crimson").click()
    page.get_by_text("Removed “red / crimson”.").wait_for()
    page.locator(".entry-state", has_text="red / crimson").wait_for(state="detached")
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("“red / crimson” is back.").wait_for()
    label = stored(page, "/labels/red%20%2F%20crimson")
    assert (label["prompts"], label["threshold"]) == (["all is red"], 0.2)


def test_a_threshold_that_was_not_moved_stays_as_it_is(open_page: "Callable[..., Page]") -> None:
    """The slider has whole percents, a threshold any number of digits."""
    page = open_page()
    put = """(labels) => fetch("/labels", {
      method: "PUT",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({labels}),
    }).then((answer) => answer.status)"""
    assert page.evaluate(put, [{"name": "warm", "threshold": 0.004}]) == 200
    open_labels(page)
    page.locator("#labels-list .label-open", has_text="warm").click()
    page.fill("#label-prompts", "all is red")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved “warm”.").wait_for()
    label = stored(page, "/labels/warm")
    assert (label["prompts"], label["threshold"]) == (["all is red"], 0.004)


def test_examples_are_added_listed_and_forgotten(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page()
    open_labels(page)
    add_label(page, "warm")
    page.get_by_role("button", name="warm", exact=True).click()
    with page.expect_file_chooser() as chooser:
        page.click("#examples-add")
    chooser.value.set_files(red)
    page.get_by_text("“warm” learned from 1 video.").wait_for()
    assert page.locator("#examples-list li").count() == 1

    page.click("#editor-back")
    page.get_by_role("button", name="Remove warm").click()
    page.get_by_text("“warm” has 1 example, which cannot be brought back.").wait_for()
    page.get_by_role("button", name="Only turn the label off").click()
    page.get_by_text("“warm” is off.").wait_for()
    assert stored(page, "/labels/warm")["enabled"] is False
    page.locator("#labels-list .label-open", has_text="warm").click()
    page.get_by_role("button", name="Forget example 1").click()
    page.get_by_text("Forgotten.").wait_for()
    assert stored(page, "/labels/warm/examples")["items"] == []


def test_a_label_that_cannot_be_stored_is_explained_and_kept_in_its_field(
    open_page: "Callable[..., Page]",
) -> None:
    page = open_page()
    open_labels(page)
    page.locator("#labels-list .label-open").first.click()
    page.fill("#label-prompts", "x" * 600)
    page.get_by_role("button", name="Save", exact=True).click()
    alert = page.locator("#labels-problem .problem")
    alert.wait_for()
    assert "500" in alert.inner_text()
    assert page.input_value("#label-prompts") == "x" * 600


def test_label_sets_are_created_filled_saved_and_deleted(
    open_page: "Callable[..., Page]", red: Path, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text('# mine\nred things\n"blue, or bluish"\n\ngreen, maybe\n')
    page = open_page()
    drop(page, red)
    labels_of_tags(page)
    open_labels(page)
    page.get_by_text("Another label set").click()
    page.fill("#set-name", "mine")
    page.press("#set-name", "Enter")
    page.get_by_text("“mine” is the label set now.").wait_for()
    page.locator("#import-file").set_input_files(words)
    page.get_by_text("words.txt: 3 added, 0 changed.").wait_for()
    wait_for_row(page, "red.mp4", "red things")
    with page.expect_download() as download:
        page.click("#export-ndjson")
    lines = Path(download.value.path()).read_text("utf-8").splitlines()
    names = {json.loads(line)["name"] for line in lines}
    assert names == {"red things", "blue, or bluish", "green, maybe"}

    page.click("#set-delete")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("Deleted “mine”.").wait_for()
    assert page.locator("#set").input_value() == "default"
    assert [each["name"] for each in stored(page, "/label-sets")["items"]] == ["default"]


def test_right_and_wrong_teach_from_the_span(
    open_page: "Callable[..., Page]", red_then_blue: Path
) -> None:
    page = open_page()
    ask(page, "green, dull")
    drop(page, red_then_blue)
    labels_of_tags(page)
    page.locator("#threshold").fill("0")
    page.get_by_role("button", name="Right: dull, ").click()
    page.get_by_text("Only stored labels can learn.").wait_for()
    page.fill("#save-name", "mine")
    page.press("#save-name", "Enter")
    page.get_by_text("“dull” learned: 1 example has 20 %").wait_for()
    [example] = stored(page, "/label-sets/mine/labels/dull/examples")["items"]
    assert example["in_use"]

    labels_of_tags(page)
    page.get_by_role("button", name="Wrong: green, ").click()
    page.get_by_label("What is it instead?").fill("crimson")
    page.get_by_role("button", name="Teach", exact=True).click()
    page.get_by_text("“crimson” learned: 1 example has").wait_for()
    page.locator(".tag-label", has_text="crimson").wait_for()
    page.get_by_role("button", name="Wrong: green, ").click()
    page.get_by_role("button", name="Hide “green” at").click()
    page.get_by_text("“green” is only shown from").wait_for()
    page.locator(".tag-label", has_text="green").wait_for(state="detached")
