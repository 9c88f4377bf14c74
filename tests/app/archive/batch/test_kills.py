"""`kinolex archive tag` on Ray, killed midway: every video once, as in a run without a kill."""

from pathlib import Path

import pytest

from benchmarks.archive.tag_kills import run


@pytest.mark.slow
@pytest.mark.timeout(900)  # Ray starts three times, up to a minute each on a busy computer
def test_a_killed_run_continues_and_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    outcome = run(tmp_path, ("driver",), 120, print)

    assert (outcome.kills, outcome.midway, outcome.rounds, outcome.videos) == (1, 1, 1, 121)
    assert (outcome.lost, outcome.repeated, outcome.different, outcome.again) == (0, 0, 0, 0)
