"""Which database addresses a store takes."""

import pytest

from app.store import LabelStore, StoreMismatch
from tests.support.word_vectors import WordSource


@pytest.mark.parametrize("url", ["", "mysql://host/labels", "sqlite://", "nonsense"])
def test_a_url_that_cannot_keep_labels_is_refused(url: str) -> None:
    with pytest.raises(StoreMismatch):
        LabelStore.open(url, WordSource())
