"""Which searches run on the event loop."""

import numpy as np

from app.question import SearchedLabels
from model import LabelIndex, Prototypes


def index_of(labels: int) -> LabelIndex:
    vector, background = np.eye(1, 4, dtype=np.float32), np.array([[0.0, 1.0]], np.float32)
    names = [f"label {number}" for number in range(labels)]
    return LabelIndex.build([(name, Prototypes((name,), vector, background)) for name in names], 4)


def test_only_short_searches_run_on_the_event_loop() -> None:
    small = SearchedLabels("set", 1, index_of(200))

    assert small.is_searched_inline(100)
    assert not small.is_searched_inline(101)
    with_threshold = small.index.with_thresholds({"label 0": 0.5})
    assert not SearchedLabels("set", 1, with_threshold).is_searched_inline(5)
    assert not SearchedLabels("set", 1, index_of(2_001)).is_searched_inline(5)
