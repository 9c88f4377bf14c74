"""How long a person waits at the page, in Chromium: `python -m benchmarks.page.times`.

Runs `kinolex serve` with its defaults and measures, from the moment at which a file is chosen or
Enter is pressed, until what it leads to is in the page: the first tag of a 10 s clip, the first
lane and the first tag of a ten-minute film, and a new label's bar for the kept clip and film.
Prints one JSON line last, with the median and the maximum of the rounds in milliseconds.
"""

import argparse
import json
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness.clips import MIDDLE, SMALL, encoded, repeated
from benchmarks.harness.paths import CACHE
from benchmarks.harness.servers import Server, running
from benchmarks.speed.serving import SERVICE
from tests.support.browser import CHROMIUM_OPTIONS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FILM_MINUTES = 10
_WAIT_MS = 300_000
# Words that are not in the default set, one for each measured question.
_NEW_LABELS = ("juggling torches", "shearing a sheep", "walking on stilts", "blowing glass")

# Notes when an event happens and when a selector first has an element with a text.
_STOPWATCH = """
([name, selector, text]) => {
  const times = (window.times ??= {});
  times[name] = null;
  const find = () => [...document.querySelectorAll(selector)].some(
    (each) => each.textContent.includes(text));
  const watch = new MutationObserver(() => {
    if (!find()) return;
    times[name] = performance.now();
    watch.disconnect();
  });
  watch.observe(document.body, { childList: true, subtree: true, attributes: true });
  for (const kind of ["change", "keydown"]) {
    addEventListener(kind, () => { window.began ??= performance.now(); }, { capture: true });
  }
}
"""


def main() -> None:
    """Measure and print."""
    # an extra, and slow to import
    from playwright.sync_api import sync_playwright

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    clip = encoded(SMALL, CACHE)
    film = repeated(encoded(MIDDLE, CACHE), _FILM_MINUTES, CACHE)
    times: dict[str, list[float]] = defaultdict(list)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_OPTIONS
        )
        for number in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                with running(*SERVICE, Path(folder)) as server:
                    server.settle()
                    for name, milliseconds in _round(chromium, server, clip, film).items():
                        times[name].append(milliseconds)
                print(f"round {number + 1} of {rounds} is done", flush=True)
        chromium.close()
    print(
        json.dumps(
            {name: {"median": median(each), "max": max(each)} for name, each in times.items()}
        )
    )


def _round(chromium: "Browser", server: Server, clip: Path, film: Path) -> dict[str, float]:
    """Return milliseconds by what was waited for, with a service that has kept nothing yet."""
    found: dict[str, float] = {}
    for name, path in (("clip", clip), ("film", film)):
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.locator("#set option").first.wait_for(state="attached")
        _watch(page, "first_lane", ".lane")
        _watch(page, "first_tag", ".tag-label")
        page.set_input_files("#file", path)
        found[f"{name}_to_first_lane_ms"] = _waited(page, "first_lane")
        found[f"{name}_to_first_tag_ms"] = _waited(page, "first_tag")
        page.locator("#result[aria-busy=false]").wait_for(timeout=_WAIT_MS)
        page.locator("#share").wait_for(timeout=_WAIT_MS)
        for each in _NEW_LABELS:
            page.evaluate("() => { window.began = undefined; }")
            _watch(page, each, ".tag-label", each)
            page.fill("#word", each)
            page.press("#word", "Enter")
            key = f"label_to_bar_of_kept_{name}_ms"
            found[key] = max(found.get(key, 0.0), _waited(page, each))
            page.locator("#result[aria-busy=false]").wait_for(timeout=_WAIT_MS)
        page.close()
    return found


def _watch(page: "Page", name: str, selector: str, text: str = "") -> None:
    page.evaluate(_STOPWATCH, [name, selector, text])


def _waited(page: "Page", name: str) -> float:
    """Milliseconds from the last event to the first element that was watched for."""
    page.wait_for_function("(name) => window.times[name] !== null", arg=name, timeout=_WAIT_MS)
    return float(page.evaluate("(name) => window.times[name] - window.began", name))


if __name__ == "__main__":
    main()
