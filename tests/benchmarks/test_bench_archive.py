"""`make bench-archive` ends with one line of JSON; no job or webhook is lost in a kill."""

import json
import sys

import pytest

from benchmarks.archive.__main__ import JUDGED, main


@pytest.mark.slow
@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def test_a_kill_loses_no_job_and_no_webhook(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--only", "kills", "--kills", "1", "--in-flight", "3", "--database", database]
    options.append("--end-leases")
    monkeypatch.setattr(sys, "argv", ["benchmarks.archive", *options])

    main()

    *others, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)
    assert figures.keys() == set(JUDGED)
    assert (figures["kills"], figures["jobs_lost"], figures["webhooks_missing"]) == (1, 0, 0)
    assert figures["webhooks_with_two_ids"] == 0
    assert f"kills_databases: {database}" in others
    assert "jobs_acknowledged: 0" not in others
