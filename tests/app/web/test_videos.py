"""Many videos: the queue, what is kept of them, and search."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.app.web.actions import (
    ask,
    drop,
    labels_of_tags,
    uploads,
    wait_for_answer,
    wait_for_player,
    wait_for_row,
)
from tests.support.fakes import PatientEncoder, sure_tagger

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_every_dropped_video_is_tagged_and_has_an_address(
    open_page: "Callable[..., Page]", red: Path, blue: Path
) -> None:
    page = open_page()
    ask(page, "red, blue")
    drop(page, red, blue)
    wait_for_row(page, "red.mp4", "red · likely")
    wait_for_row(page, "blue.mp4", "blue · likely")
    page.locator(".entry", has_text="blue.mp4").locator(".entry-choose").click()
    wait_for_player(page, "videoWidth", 64)
    assert labels_of_tags(page)[0] == "blue"

    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.locator(".entry.selected", has_text="blue.mp4").wait_for()
    assert labels_of_tags(page) == ["blue", "red"]
    page.get_by_text("The service keeps what it found, not the video.").wait_for()
    wait_for_row(page, "red.mp4", "red · likely")
    page.locator(".entry", has_text="red.mp4").locator(".entry-choose").click()
    page.locator(".entry.selected", has_text="red.mp4").wait_for()
    page.go_back()
    page.locator(".entry.selected", has_text="blue.mp4").wait_for()


def test_back_and_forward_lead_to_a_video_with_the_words_of_then(
    open_page: "Callable[..., Page]", red: Path, blue: Path
) -> None:
    page = open_page()
    drop(page, red, blue)
    wait_for_answer(page, "red.mp4")
    wait_for_answer(page, "blue.mp4")
    ask(page, "red")
    page.locator(".entry", has_text="blue.mp4").locator(".entry-choose").click()
    ask(page, "green")
    steps = page.evaluate("history.length")

    page.go_back()
    page.locator(".entry.selected", has_text="red.mp4").wait_for()
    assert page.locator("#chips .chip > span").all_text_contents() == ["red"]
    page.go_forward()
    page.locator(".entry.selected", has_text="blue.mp4").wait_for()
    assert page.locator("#chips .chip > span").all_text_contents() == ["red", "green"]
    assert page.evaluate("history.length") == steps


def test_a_video_that_was_analysed_is_not_sent_again(
    open_page: "Callable[..., Page]", red: Path, blue: Path
) -> None:
    page = open_page()
    sent = uploads(page)
    drop(page, red)
    labels_of_tags(page)
    page.reload()
    wait_for_answer(page, "red.mp4")
    drop(page, red, blue)
    wait_for_answer(page, "blue.mp4")
    page.locator(".entry.selected", has_text="red.mp4").wait_for()
    wait_for_player(page, "videoWidth", 64)
    assert page.locator(".entry").count() == 2
    assert len(sent) == 2


def test_another_question_is_put_to_every_kept_video_without_sending_it(
    open_page: "Callable[..., Page]", red: Path, blue: Path
) -> None:
    page = open_page()
    sent = uploads(page)
    ask(page, "green")
    drop(page, red, blue)
    wait_for_row(page, "red.mp4", "green · ")
    wait_for_row(page, "blue.mp4", "green · ")
    ask(page, "red, blue")
    wait_for_row(page, "red.mp4", "red · likely")
    wait_for_row(page, "blue.mp4", "blue · likely")
    assert labels_of_tags(page)[0] == "red"
    assert len(sent) == 2


def test_work_can_be_cancelled_and_done_again(open_page: "Callable[..., Page]", red: Path) -> None:
    encoder = PatientEncoder()
    page = open_page(tagger=sure_tagger(encoder))
    try:
        drop(page, red)
        page.locator("#status", has_text="Looking at the video").wait_for()
        page.click("#cancel")
        page.locator("#status", has_text="Cancelled").wait_for()
    finally:
        encoder.sign.set()
    page.get_by_role("button", name="Tag", exact=True).click()
    assert labels_of_tags(page)


def test_a_second_question_that_is_cancelled_can_be_asked_again(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    """As with a key that may not keep videos, which are sent for each question."""
    encoder = PatientEncoder()
    encoder.sign.set()
    page = open_page(tagger=sure_tagger(encoder))
    problem = {"code": "scope_missing", "title": "The key does not allow this", "detail": ""}
    page.route("**/videos?*", lambda route: route.fulfill(status=403, json=problem))
    page.reload()
    drop(page, red)
    labels_of_tags(page)
    ask(page, "green")
    page.locator("#status", has_text="The question has changed").wait_for()
    encoder.sign.clear()
    try:
        page.get_by_role("button", name="Tag", exact=True).click()
        page.locator("#status", has_text="Looking at the video").wait_for()
        page.click("#cancel")
        page.locator("#status", has_text="Cancelled").wait_for()
    finally:
        encoder.sign.set()
    page.get_by_role("button", name="Tag", exact=True).click()
    page.locator(".tag-label", has_text="green").wait_for()


def test_two_videos_are_tagged_at_once_with_a_key_that_may_not_keep_them(
    open_page: "Callable[..., Page]", red: Path, blue: Path
) -> None:
    page = open_page()
    problem = {"code": "scope_missing", "title": "The key does not allow this", "detail": ""}
    some = {"items": [], "next_page_token": "more"}
    page.route("**/videos?*", lambda route: route.fulfill(json=some))
    page.route("**/videos/*/classify", lambda route: route.fulfill(status=403, json=problem))
    page.reload()
    ask(page, "red, blue")
    drop(page, red, blue)
    wait_for_row(page, "red.mp4", "red · likely")
    wait_for_row(page, "blue.mp4", "blue · likely")


def test_a_video_that_was_deleted_elsewhere_can_be_removed(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page()
    drop(page, red)
    wait_for_answer(page, "red.mp4")
    [kept] = page.evaluate("fetch('/videos').then((answer) => answer.json())")["items"]
    delete = "(address) => fetch(address, {method: 'DELETE'}).then((answer) => answer.status)"
    assert page.evaluate(delete, f"/videos/{kept['sha256']}") == 200
    page.get_by_role("button", name="Remove red.mp4").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.locator("#videos-empty").wait_for()


def test_a_removed_video_is_forgotten(open_page: "Callable[..., Page]", red: Path) -> None:
    page = open_page()
    drop(page, red)
    labels_of_tags(page)
    page.get_by_role("button", name="Remove red.mp4").click()
    page.get_by_role("button", name="Keep it").click()
    assert page.locator(".entry").count() == 1
    page.get_by_role("button", name="Remove red.mp4").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.locator("#videos-empty").wait_for()
    assert page.evaluate("fetch('/videos').then((answer) => answer.json())")["items"] == []
    assert page.locator("#drop").is_visible()


def test_words_are_found_in_kept_videos(
    open_page: "Callable[..., Page]", red_then_blue: Path, red: Path
) -> None:
    page = open_page()
    drop(page, red, red_then_blue)
    wait_for_answer(page, "red.mp4")
    wait_for_answer(page, "red then blue.mp4")
    page.fill("#search-words", "blue")
    page.press("#search-words", "Enter")
    page.get_by_text("Best spans of 2 videos:").wait_for()
    first = page.locator(".found-span").first
    assert first.locator(".entry-name").inner_text() == "red then blue.mp4"
    first.click()
    page.locator(".entry.selected", has_text="red then blue.mp4").wait_for()
    wait_for_player(page, "currentTime", 6)


def test_a_file_that_is_no_video_is_explained(
    open_page: "Callable[..., Page]", red: Path, tmp_path: Path
) -> None:
    page = open_page()
    notes = tmp_path / "notes.txt"
    notes.write_text("no video in here")
    drop(page, notes, media_type="text/plain")
    alert = page.locator("#problem .problem")
    alert.wait_for()
    assert "not a video" in alert.inner_text()
    assert "not_a_video" in alert.inner_text()
    assert page.locator(".tags").count() == 0
    assert page.locator("#no-preview").is_visible()
    drop(page, red)
    assert labels_of_tags(page)
    wait_for_row(page, "notes.txt", "Failed")
    assert alert.count() == 0


def test_a_file_that_is_too_large_is_not_sent(open_page: "Callable[..., Page]", red: Path) -> None:
    page = open_page(max_upload_bytes=1000)
    sent = uploads(page)
    drop(page, red)
    page.get_by_text("this service takes up to 1.0 kB").wait_for()
    assert sent == []


def test_a_service_that_fails_is_reported(open_page: "Callable[..., Page]", red: Path) -> None:
    page = open_page()
    page.route("**/classify", lambda route: route.fulfill(status=502, body="<h1>proxy</h1>"))
    drop(page, red)
    page.get_by_text("The service refused the request (502)").wait_for()


def test_work_continues_when_the_service_is_back(
    open_page: "Callable[..., Page]", red: Path, blue: Path
) -> None:
    page = open_page()
    ask(page, "red, blue")
    drop(page, red)
    labels_of_tags(page)
    page.context.set_offline(True)
    drop(page, blue)
    page.locator("#offline").wait_for()
    wait_for_row(page, "blue.mp4", "Failed")
    page.context.set_offline(False)
    wait_for_row(page, "blue.mp4", "blue · likely")
    page.locator("#offline").wait_for(state="hidden")
    assert page.locator("#problem .problem").count() == 0


def test_the_sample_is_tried_with_words(open_page: "Callable[..., Page]") -> None:
    page = open_page()
    page.get_by_role("button", name="Try a sample").click()
    assert set(labels_of_tags(page)) == {"fireworks", "riding a bicycle", "swimming"}
    wait_for_answer(page, "sample.mp4")
    wait_for_player(page, "videoWidth", 320)


def test_the_camera_records_a_video(open_page: "Callable[..., Page]") -> None:
    page = open_page()
    page.get_by_role("button", name="Record with the camera").last.click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_text("Recording: 1 s").wait_for()
    page.get_by_role("button", name="Stop and look at it").click()
    assert labels_of_tags(page)
    wait_for_row(page, "recording ", " s · ")
    assert page.locator("#camera").evaluate("(dialog) => dialog.open") is False
