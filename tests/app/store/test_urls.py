"""Which database URLs the store accepts."""

import pytest

from app.store import LabelStore, StoreMismatch
from tests.support.word_vectors import WordSource


@pytest.mark.parametrize("url", ["", "mysql://host/labels", "sqlite://", "nonsense"])
def test_an_unsupported_url_is_refused(url: str) -> None:
    with pytest.raises(StoreMismatch):
        LabelStore.open(url, WordSource())
