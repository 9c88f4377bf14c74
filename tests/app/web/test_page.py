"""The page, as a person uses it: a real browser on a real server, a tagger that knows colours."""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.main import create_app
from model import Tagger, likelihood
from tests.support.browser import running_chromium
from tests.support.clips import write_clip
from tests.support.fakes import PatientEncoder, colour_tagger, doubtful_tagger, sure_tagger
from tests.support.servers import running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

    from app.settings import Settings

DESK: "ViewportSize" = {"width": 1440, "height": 900}
PHONE: "ViewportSize" = {"width": 375, "height": 812}
# What the browser itself logs of every answer from 400 on: not a fault of the page.
REFUSED = "Failed to load resource: the server responded with a status of "

NEW_FILE = """([name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  return transfer;
}"""
# Not page.wait_for_function: it calls eval in the page, which the page's policy forbids.
HAS_REACHED = """([what, min_value]) => new Promise((resolve) => {
  const look = () => player[what] >= min_value ? resolve() : setTimeout(look, 20);
  const player = document.getElementById("player");
  look();
})"""


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Debian's chromium."""
    with running_chromium() as chromium:
        yield chromium


@pytest.fixture
def open_page(
    browser: "Browser", make_settings: "Callable[..., Settings]"
) -> "Iterator[Callable[..., Page]]":
    """Opens the page of a new service; afterwards nothing may have been logged in the browser or
    requested from another host.
    """
    complaints: list[str] = []
    foreign: list[str] = []

    def note_request(url: str, server: str) -> None:
        if not url.startswith((server, f"blob:{server}")):
            foreign.append(url)

    with ExitStack() as stack:

        def make(viewport: "ViewportSize" = DESK, tagger: Tagger | None = None) -> "Page":
            app = create_app(make_settings(), tagger=tagger or sure_tagger())
            server = stack.enter_context(running_server(app))
            page = browser.new_page(viewport=viewport)
            stack.callback(page.context.close)
            page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: note_request(request.url, server))
            page.goto(server)
            page.locator("#labels-list li").first.wait_for()
            return page

        yield make
    assert [message for message in complaints if REFUSED not in message] == []
    assert foreign == []


@pytest.fixture(scope="module")
def red_then_blue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of red, then four of blue: red is the better tag of the two."""
    path = tmp_path_factory.mktemp("page") / "red then blue.mp4"
    write_clip(path, seconds_colours=["red"] * 8 + ["blue"] * 4)
    return path


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of red."""
    path = tmp_path_factory.mktemp("page") / "red.mp4"
    write_clip(path, seconds_colours=["red"] * 2)
    return path


def drop(page: "Page", path: Path, media_type: str = "video/mp4") -> None:
    """Drops a file on the page, as from a file manager."""
    data = base64.b64encode(path.read_bytes()).decode()
    transfer = page.evaluate_handle(NEW_FILE, [path.name, media_type, data])
    page.dispatch_event("#stage", "drop", {"dataTransfer": transfer})


def tab_to(page: "Page", selector: str, key: str = "Tab") -> None:
    """Presses Tab until this element has the focus, as people without a mouse do."""
    for _ in range(30):
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
        page.keyboard.press(key)
    pytest.fail(f"30 times {key} did not lead to {selector}")


def wait_for_player(page: "Page", what: str, min_value: float) -> None:
    """Waits until this number of the player is high enough."""
    page.evaluate(HAS_REACHED, [what, min_value])


def labels_of_tags(page: "Page") -> list[str]:
    """The tags shown, once the answer has come."""
    page.locator(".tags").wait_for()
    return page.locator(".tag-label").all_inner_texts()


def add_label(page: "Page", name: str) -> None:
    """Types a label and waits until it is in the list."""
    page.fill("#label-name", name)
    page.press("#label-name", "Enter")
    page.locator("#labels-list .fresh").wait_for()


@pytest.mark.browser
def test_a_dropped_video_is_played_and_its_tags_have_bars(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page()
    page.fill("#only", 'red, green, "both , red and green"')
    drop(page, red)
    assert labels_of_tags(page) == ["red", "both , red and green", "green"]
    assert page.locator(".rank").all_inner_texts() == ["1", "2", "3"]
    scores = [int(text.removesuffix(" %")) for text in page.locator(".tag-score").all_inner_texts()]
    bars = [
        bar.evaluate("(bar) => 100 * bar.firstElementChild.offsetWidth / bar.offsetWidth")
        for bar in page.locator(".tag-bar").all()
    ]
    assert scores[0] > scores[1] > scores[2]
    assert bars == pytest.approx(scores, abs=1.5)
    words = page.locator(".tag-likelihood").all_inner_texts()
    assert words == [likelihood(score / 100) for score in scores]
    assert "similarity 0." in page.locator(".tag-more").first.inner_text()
    wait_for_player(page, "videoWidth", 64)
    assert "only those asked for" in page.locator(".facts").inner_text()


@pytest.mark.browser
def test_choosing_a_moment_moves_the_player_to_it(
    open_page: "Callable[..., Page]", red_then_blue: Path
) -> None:
    page = open_page()
    page.fill("#only", "red, blue")
    drop(page, red_then_blue)
    page.get_by_role("button", name=re.compile("^blue, ")).click()
    wait_for_player(page, "currentTime", 4)
    moved = page.locator(".playhead").evaluate("(head) => head.style.getPropertyValue('--at')")
    assert float(moved) >= 4 / 12


@pytest.mark.browser
def test_an_added_label_is_found_by_the_next_request(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page()
    drop(page, red)
    assert "Something red" not in labels_of_tags(page)
    add_label(page, "Something   red")
    page.click("#ask-again")
    page.get_by_text(re.compile("^Something red: likely, .* Took")).wait_for()
    assert labels_of_tags(page)[0] == "Something red"


@pytest.mark.browser
def test_a_removed_label_is_not_searched_and_can_be_restored(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page()
    page.click("summary")
    page.fill("#label-prompts", "all is red")
    add_label(page, "red / crimson")
    page.get_by_role("button", name="Remove red / crimson").click()
    page.get_by_text("Removed “red / crimson”.").wait_for()
    drop(page, red)
    assert "red / crimson" not in labels_of_tags(page)
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("“red / crimson” is back.").wait_for()
    stored = page.evaluate("fetch('/labels/red%20%2F%20crimson').then((answer) => answer.json())")
    assert stored["prompts"] == ["all is red"]


@pytest.mark.browser
def test_an_example_video_is_added_to_a_label(open_page: "Callable[..., Page]", red: Path) -> None:
    page = open_page()
    add_label(page, "warm")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Teach warm by example").click()
    chooser.value.set_files(red)
    page.get_by_text("“warm” now has 1 example").wait_for()
    stored = page.evaluate("fetch('/labels/warm/examples').then((answer) => answer.json())")
    assert len(stored["items"]) == 1


@pytest.mark.browser
def test_a_text_file_gets_a_message_that_says_what_is_wrong(
    open_page: "Callable[..., Page]", red: Path, tmp_path: Path
) -> None:
    page = open_page()
    drop(page, red)
    labels_of_tags(page)
    notes = tmp_path / "notes.txt"
    notes.write_text("no video in here")
    drop(page, notes, "text/plain")
    alert = page.locator("#problem .problem")
    alert.wait_for()
    assert "not a video" in alert.inner_text()
    assert "not_a_video" in alert.inner_text()
    assert page.locator(".tags").count() == 0
    assert page.locator("#no-preview").is_visible()


@pytest.mark.browser
def test_a_label_that_cannot_be_stored_is_explained_and_kept_in_its_field(
    open_page: "Callable[..., Page]",
) -> None:
    page = open_page()
    page.click("summary")
    page.fill("#label-prompts", "x" * 600)
    page.fill("#label-name", "too wordy")
    page.press("#label-name", "Enter")
    alert = page.locator("#labels-problem .problem")
    alert.wait_for()
    assert "500" in alert.inner_text()
    assert page.input_value("#label-name") == "too wordy"


@pytest.mark.browser
def test_none_of_these_is_shown_when_no_label_fits(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page(tagger=colour_tagger())
    page.fill("#only", "blue")
    drop(page, red)
    page.get_by_text("None of these", exact=True).wait_for()
    assert page.locator(".tags.faint .tag-label").inner_text() == "blue"


@pytest.mark.browser
def test_markup_in_a_label_is_shown_as_text(open_page: "Callable[..., Page]", red: Path) -> None:
    page = open_page()
    add_label(page, "<img src=x onerror=alert(1)> red")
    drop(page, red)
    assert "<img src=x onerror=alert(1)> red" in labels_of_tags(page)
    assert page.locator("main img").count() == 0


@pytest.mark.browser
def test_a_request_can_be_cancelled_and_sent_again(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    encoder = PatientEncoder()
    page = open_page(tagger=sure_tagger(encoder))
    try:
        drop(page, red)
        page.get_by_text("Looking at the video").wait_for()
        page.click("#cancel")
        page.get_by_text("Cancelled.").wait_for()
    finally:
        encoder.sign.set()
    page.get_by_role("button", name="Tag", exact=True).click()
    assert labels_of_tags(page)


@pytest.mark.browser
def test_the_timeline_grows_while_the_service_works(
    open_page: "Callable[..., Page]", tmp_path: Path
) -> None:
    # eleven windows: the service reports eight, and then the rest
    film = tmp_path / "film.mp4"
    # every second a little darker: windows with the same frames are encoded once
    reds = [(220 - 5 * second, 30, 30) for second in range(12)]
    write_clip(film, seconds_colours=[*reds, *((30, 30, red) for red, _, _ in reds)])
    encoder = PatientEncoder()
    encoder.sign.set()
    encoder.stop_after = 1 + 8
    page = open_page(tagger=sure_tagger(encoder))
    page.fill("#only", "red, blue")
    drop(page, film)
    try:
        page.get_by_text("Looking at the video: 73 %").wait_for()
        assert page.locator(".growing .lane-name").all_inner_texts() == ["blue", "red"]
        assert page.locator("#progress").evaluate("(bar) => bar.value") == pytest.approx(8 / 11)
        ahead = page.locator(".ahead").evaluate("(part) => part.style.getPropertyValue('--at')")
        assert float(ahead) == pytest.approx(18 / 24, abs=0.01)
        assert page.locator(".tags").count() == 0
    finally:
        encoder.more.set()
    assert set(labels_of_tags(page)) == {"red", "blue"}
    assert page.locator(".growing, .ahead").count() == 0
    page.get_by_role("button", name=re.compile("^blue, 1[13].0 s to 24.0 s")).wait_for()


@pytest.mark.browser
def test_a_service_that_fails_is_reported(open_page: "Callable[..., Page]", red: Path) -> None:
    page = open_page()
    page.route("**/classify", lambda route: route.fulfill(status=502, body="<h1>proxy</h1>"))
    drop(page, red)
    page.get_by_text("The service refused the request (502)").wait_for()


@pytest.mark.browser
def test_everything_can_be_done_without_a_mouse(
    open_page: "Callable[..., Page]", red_then_blue: Path
) -> None:
    page = open_page()
    page.on("filechooser", lambda chooser: chooser.set_files(red_then_blue))
    tab_to(page, "#file")
    page.keyboard.press("Enter")
    labels_of_tags(page)
    tab_to(page, "#only")
    page.keyboard.type("red, blue")
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile("^blue, ")).wait_for()
    tab_to(page, ".span", key="Shift+Tab")
    # the rows are in the order of the scores, which are nearly equal
    focused = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("ArrowDown")
    if not page.evaluate(focused).startswith("blue"):
        page.keyboard.press("ArrowUp")
    assert page.evaluate(focused).startswith("blue")
    page.keyboard.press("Enter")
    wait_for_player(page, "currentTime", 4)
    tab_to(page, "#label-name")
    page.keyboard.type("blue sky")
    page.keyboard.press("Enter")
    page.locator("#labels-list .fresh").wait_for()
    page.keyboard.type("blue sky")
    tab_to(page, "[aria-label='Remove blue sky']")
    page.keyboard.press("Enter")
    page.get_by_text("Removed “blue sky”.").wait_for()
    assert page.evaluate("document.activeElement.id") == "label-name"


@pytest.mark.browser
@pytest.mark.parametrize("make_tagger", [sure_tagger, doubtful_tagger])
def test_an_answer_moves_nothing_below_it(
    open_page: "Callable[..., Page]", red: Path, make_tagger: Callable[[], Tagger]
) -> None:
    page = open_page(tagger=make_tagger())
    offsets = "['timeline', 'ask', 'labels'].map((id) => document.getElementById(id).offsetTop)"
    before = page.evaluate(offsets)
    drop(page, red)
    labels_of_tags(page)
    assert page.evaluate(offsets) == before


@pytest.mark.browser
def test_a_phone_shows_it_all_without_scrolling_sideways(
    open_page: "Callable[..., Page]", red: Path
) -> None:
    page = open_page(PHONE)
    page.fill("#only", "red, " + "a very long label without an end " * 5 + ", " + "x" * 150)
    drop(page, red)
    assert len(labels_of_tags(page)) == 3
    root = page.locator("html")
    assert root.evaluate("(root) => root.scrollWidth") == root.evaluate("(r) => r.clientWidth")
