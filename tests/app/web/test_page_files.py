"""The page's files, without a browser: colours that can be read, and nothing from elsewhere."""

import gzip
import re
from urllib.parse import urlsplit

import pytest

from tests.support.paths import ROOT

WEB = ROOT / "app" / "web"


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    levels = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    linear = [
        level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "min_contrast"),
    [
        ("ink", "ground", 7.0),
        ("ink", "surface", 7.0),
        ("ink", "tint", 7.0),
        ("soft", "ground", 4.5),
        ("soft", "surface", 4.5),
        ("soft", "line", 4.5),
        ("accent", "ground", 4.5),
        ("on-accent", "accent", 4.5),
        ("warn", "warn-ground", 4.5),
        ("bad", "bad-ground", 4.5),
        ("bad", "surface", 4.5),
        ("edge", "surface", 3.0),
        ("accent", "line", 3.0),
    ],
)
def test_colours_have_enough_contrast(
    scheme: str, front: str, back: str, min_contrast: float
) -> None:
    """Contrast ratios of WCAG 2: 4.5 for text, 3 for bars and the outlines of fields."""
    palettes = re.findall(
        r":root \{(.*?)\}", (WEB / "styles" / "base.css").read_text("utf-8"), re.DOTALL
    )
    palette = dict(re.findall(r"--([\w-]+): (#\w+);", palettes[scheme == "dark"]))
    light, dark = sorted((_luminance(palette[front]), _luminance(palette[back])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= min_contrast


def test_the_page_names_no_other_host_and_holds_nothing_inline() -> None:
    html = (WEB / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", html)
    for path in (
        path for path in WEB.rglob("*") if path.suffix not in (".mp4",) and path.is_file()
    ):
        for url in re.findall(r"https?://[^\s\"'`)]+", path.read_text("utf-8")):
            assert urlsplit(url).netloc == "www.w3.org", f"{path.name}: {url}"


def test_the_page_weighs_less_than_150_kilobytes() -> None:
    """As it is sent, without the sample, which only those who try it load."""
    files = [path for path in WEB.rglob("*.*") if path.suffix in {".js", ".css", ".html", ".svg"}]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 150_000
