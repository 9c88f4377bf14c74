"""`make bench-archive` ends with one line of JSON; no job or webhook is lost in a kill."""

import json
import sys

import pytest

from benchmarks.archive.__main__ import JUDGED, main


@pytest.mark.slow  # a killed process's jobs are run after their lease of 30 s
def test_a_kill_loses_no_job_and_no_webhook(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--only", "kills", "--kills", "1", "--in-flight", "3"]
    monkeypatch.setattr(sys, "argv", ["benchmarks.archive", *options])

    main()

    *others, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)
    assert figures.keys() == set(JUDGED)
    assert (figures["kills"], figures["jobs_lost"], figures["webhooks_missing"]) == (1, 0, 0)
    assert figures["webhooks_with_two_ids"] == 0
    assert "jobs_acknowledged: 3" in others
