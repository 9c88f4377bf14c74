"""A picture of the page for README: `python -m benchmarks.page.picture ../shared/data/videos`.

Joins four validation clips, drops the film on the page of a running service with the default
checkpoint, asks eight labels, and saves what the page shows. The clips' licences do not allow to
publish their frames, so that the player is covered.
"""

import argparse
import csv
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from app.main import create_app
from app.settings import Settings
from benchmarks.harness.paths import ROOT
from benchmarks.segments.films import join
from tests.support.servers import running_server

_SHOWN = ("playing the violin", "bowling", "riding a bicycle", "hammering")
_ASKED = (*_SHOWN, "playing drums", "cutting vegetables", "swimming", "dancing")
_PICTURE = ROOT / "docs" / "images" / "page.png"
_WIDTH, _HEIGHT = 1400, 900
_OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def first_clips(folder: Path) -> list[tuple[str, Path]]:
    """The first validation clip of each label shown, in the order of the manifest."""
    found: dict[str, Path] = {}
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == "validation" and row["label"] in _SHOWN:
                found.setdefault(row["label"], folder / row["path"])
    return [(label, found[label]) for label in _SHOWN]


def main() -> None:
    """Serve, ask, and save the picture."""
    # an extra, and slow to import
    from playwright.sync_api import sync_playwright

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("clips", type=Path, help="folder with manifest.csv and validation/")
    given = options.parse_args()
    film, _ = join(first_clips(given.clips), 0)
    _PICTURE.parent.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "four clips.mp4"
        path.write_bytes(film)
        settings = Settings(data_dir=Path(folder) / "data", log_level="error", runtime="eager")
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=_OPTIONS
        )
        with running_server(create_app(settings)) as address:
            page = chromium.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
            page.goto(address)
            page.locator("#set option").first.wait_for(state="attached", timeout=120_000)
            page.fill("#word", ", ".join(_ASKED))
            page.press("#word", "Enter")
            page.set_input_files("#file", path)
            page.locator("#share").wait_for(timeout=120_000)
            page.evaluate("window.scrollTo(0, 0)")
            page.screenshot(path=_PICTURE, mask=[page.locator("#player")], mask_color="#1c1f24")
            page.close()
        chromium.close()


if __name__ == "__main__":
    main()
