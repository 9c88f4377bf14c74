"""A slow network: the progress of an upload, the time that is left, and its cancellation."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.app.web.actions import ask, drop, labels_of_tags, wait_for_row

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

pytestmark = pytest.mark.browser

UPLOAD_BYTES_PER_SECOND = 100_000
LATENCY_MS = 200
# Keeps what the page says about the video, and the values of the bar.
NOTE_PROGRESS = """() => {
  window.said = [];
  window.shares = [];
  const status = document.getElementById("status");
  const progress = document.getElementById("progress");
  new MutationObserver(() => said.push(status.textContent)).observe(status, {
    childList: true, characterData: true, subtree: true,
  });
  new MutationObserver(() => {
    if (progress.hasAttribute("value")) shares.push(progress.value);
  }).observe(progress, { attributes: true, attributeFilter: ["value"] });
}"""


def throttled(page: "Page") -> "CDPSession":
    """Makes the page's uploads slow; detaching the session lifts the limit."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": LATENCY_MS,
            "downloadThroughput": -1,
            "uploadThroughput": UPLOAD_BYTES_PER_SECOND,
        },
    )
    return network


def enlarged(path: Path, folder: Path, size: int) -> Path:
    """The same video with a box of random bytes behind it."""
    made = folder / f"large {path.name}"
    box = (size + 8).to_bytes(4, "big") + b"free" + os.urandom(size)
    made.write_bytes(path.read_bytes() + box)
    return made


def percents(said: list[str]) -> list[int]:
    return [int(found[1]) for text in said if (found := re.match(r"Sending (\d+) %", text))]


def test_a_slow_upload_shows_its_progress_and_the_time_left(
    open_page: "Callable[..., Page]", red: Path, tmp_path: Path
) -> None:
    page = open_page()
    ask(page, "red, blue")
    page.evaluate(NOTE_PROGRESS)
    throttled(page)
    # 5 s at this rate: time is left to be told after the first second
    drop(page, enlarged(red, tmp_path, 5 * UPLOAD_BYTES_PER_SECOND))

    assert labels_of_tags(page)[0] == "red"
    said, shares = page.evaluate("[said, shares]")
    sent = percents(said)
    assert len(set(sent)) > 3
    assert sent == sorted(sent)
    assert shares == sorted(shares)
    left = [int(found[1]) for text in said if (found := re.search(r"about (\d+) s left", text))]
    assert left
    assert left[-1] <= left[0]
    assert any(text.startswith("Looking at the video") for text in said)
    wait_for_row(page, "large red.mp4", "red · likely")


def test_a_slow_upload_can_be_cancelled_and_sent_again(
    open_page: "Callable[..., Page]", red: Path, blue: Path, tmp_path: Path
) -> None:
    page = open_page()
    ask(page, "red, blue")
    network = throttled(page)
    # longer than the test: it ends only because it is cancelled
    page.set_input_files("#file", enlarged(red, tmp_path, 80 * UPLOAD_BYTES_PER_SECOND))
    page.locator("#status", has_text=re.compile(r"Sending [1-9]\d* %")).wait_for()
    page.click("#cancel")

    wait_for_row(page, "large red.mp4", "Cancelled")
    assert page.locator("#progress").is_hidden()
    assert page.locator("#problem .problem").count() == 0
    network.detach()
    drop(page, blue)
    wait_for_row(page, "blue.mp4", "blue · likely")
    page.locator(".entry-choose", has_text="large red.mp4").click()
    page.get_by_role("button", name="Tag", exact=True).click()
    wait_for_row(page, "large red.mp4", "red · likely")
