"""`make bench-labels` ends with one line of JSON that has every figure, measured or not."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.labels.__main__ import main

FIGURES = [
    *("put_over_encode", "latency_growth_during_put", "work_after_hang_up_seconds"),
    *("search_p50_ms_1m", "recall_at_10_1m"),
    *("start_seconds_1m", "memory_gb_1m", "add_ms_1m", "kill_lost"),
    *("everyday_top1", "everyday_top5", "unknown_auroc", "ece", "sure_right"),
]


def test_the_last_line_has_every_figure_and_null_for_what_was_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # without real clips: the quickest part
    options = ["--only", "accuracy", "--data", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.labels", *options])

    main()

    *others, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == dict.fromkeys(FIGURES)
    assert any(line.startswith("no_accuracy_because: ") for line in others)
