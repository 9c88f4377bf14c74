"""What a person does on the page, and what they wait for."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

DESK: "ViewportSize" = {"width": 1440, "height": 900}
PHONE: "ViewportSize" = {"width": 390, "height": 844}

NEW_FILES = """([files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, data] of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  return transfer;
}"""
# Not page.wait_for_function: it calls eval in the page, which the page's policy forbids.
HAS_REACHED = """([what, min_value]) => new Promise((resolve) => {
  const look = () => player[what] >= min_value ? resolve() : setTimeout(look, 20);
  const player = document.getElementById("player");
  look();
})"""


def drop(page: "Page", *paths: Path, media_type: str = "video/mp4") -> None:
    """Drops files on the page, as from a file manager."""
    files = [
        [path.name, media_type, base64.b64encode(path.read_bytes()).decode()] for path in paths
    ]
    transfer = page.evaluate_handle(NEW_FILES, [files])
    page.dispatch_event("#stage", "drop", {"dataTransfer": transfer})


def ask(page: "Page", words: str) -> None:
    """Types what to look for."""
    page.fill("#word", words)
    page.press("#word", "Enter")


def tab_to(page: "Page", selector: str, key: str = "Tab") -> None:
    """Presses Tab until this element has the focus, as people without a mouse do."""
    for _ in range(40):
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
        page.keyboard.press(key)
    pytest.fail(f"40 times {key} did not lead to {selector}")


def wait_for_player(page: "Page", what: str, min_value: float) -> None:
    """Waits until this number of the player is high enough."""
    page.evaluate(HAS_REACHED, [what, min_value])


def labels_of_tags(page: "Page") -> list[str]:
    """The tags shown, strong and weak, once the answer has come."""
    page.locator("#share").wait_for()
    page.locator("#result[aria-busy=false]").wait_for()
    return page.locator(".tag-label").all_text_contents()


def wait_for_row(page: "Page", name: str, text: str) -> None:
    """Waits until the list of videos says this about a video."""
    row = page.locator(".entry", has_text=name)
    row.locator(".entry-state", has_text=text).wait_for()


def wait_for_answer(page: "Page", name: str) -> None:
    """Waits until a video is analysed and kept. Its duration is shown long before that."""
    page.locator(".entry:not(.busy)", has_text=name).get_by_text(" s · ").wait_for()


def open_labels(page: "Page") -> None:
    """Opens the drawer of labels."""
    page.click("#labels-open")
    page.locator("#labels-list li").first.wait_for()


def add_label(page: "Page", name: str) -> None:
    """Types a label into the drawer and waits until it is in the list."""
    page.fill("#label-name", name)
    page.press("#label-name", "Enter")
    page.locator("#labels-list .fresh").wait_for()


def uploads(page: "Page") -> list[str]:
    """A list that grows with each video that the page sends."""
    sent: list[str] = []

    def note(method: str, address: str) -> None:
        if method == "POST" and address.endswith("/classify") and "/videos/" not in address:
            sent.append(address)

    page.on("request", lambda request: note(request.method, request.url))
    return sent
