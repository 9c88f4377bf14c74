"""docs/formats.md says what happens to every container and codec."""

import pytest

from tests.support.formats_page import page
from tests.support.paths import ROOT


@pytest.mark.slow
def test_the_page_of_formats_says_what_happens_to_each() -> None:
    written = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")

    assert written == page(), "python -m tests.support.formats_page > docs/formats.md"
