"""Pictures of the page for the tutorial: `python -m benchmarks.page.tutorial_pictures`.

Serves the default checkpoint, tries the sample of the page, which is ours to publish, and opens the
labels. Writes `docs/images/tutorial-tags.png` and `tutorial-labels.png`.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from app.main import create_app
from app.settings import Settings
from benchmarks.harness.paths import ROOT
from tests.support.servers import running_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FOLDER = ROOT / "docs" / "images"
_WIDTH, _HEIGHT = 1280, 800
_OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_MILLISECONDS = 600_000


def main() -> None:
    """Serve, use the page, and save the pictures."""
    # an extra, and slow to import
    from playwright.sync_api import sync_playwright

    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        settings = Settings(data_dir=Path(folder), log_level="error", runtime="eager")
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=_OPTIONS
        )
        with running_server(create_app(settings)) as address:
            page = chromium.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
            page.set_default_timeout(_MILLISECONDS)
            page.goto(address)
            page.locator("#set option").first.wait_for(state="attached")
            _take(page)
            page.close()
        chromium.close()


def _take(page: "Page") -> None:
    page.click("#sample")
    page.locator("#share").wait_for()
    _save(page, "tags")
    page.click("#words-clear")
    page.click("#labels-open")
    page.locator("dialog[open] li").first.wait_for()
    _save(page, "labels")


def _save(page: "Page", name: str) -> None:
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=_FOLDER / f"tutorial-{name}.png")


if __name__ == "__main__":
    main()
