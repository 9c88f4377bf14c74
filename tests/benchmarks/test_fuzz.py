"""The short form of `make fuzz`, the walkers on mutated bytes, and the bombs of the review."""

import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from app.decode.worker_loop import SharedFile
from benchmarks.fuzz.bombs import is_well_answered, measure
from benchmarks.fuzz.campaign import Campaign, Outcome, run
from benchmarks.fuzz.mutations import mutant
from benchmarks.fuzz.over_http import SERVICE, SETTINGS
from benchmarks.fuzz.seeds import seed_videos
from benchmarks.harness.servers import running
from model.errors import ExpensiveVideo
from model.video.containers.checks import check_container
from tests.support.clips import clip_bytes
from tests.support.paths import SHARED
from tests.support.pools import descriptor

SEEDS = seed_videos()
_ATTACKS = SHARED / "attacks"
# Its few frames are cheap to decode, however long it claims to be.
_CHEAP = "fuzz_hevc_claims_long.mp4"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_mutated_videos_are_answered_at_a_bounded_cost() -> None:
    done = await run(range(130), SEEDS)

    assert done.codes.total() == 130
    assert done.codes["ok"] > 10
    assert not done.bad
    assert not done.died


def test_no_bytes_make_a_walker_fail() -> None:
    refused = 0
    for number in range(3_000):
        with descriptor(mutant(number, SEEDS, campaign=1).data) as fd:
            try:
                check_container(cast("BinaryIO", SharedFile(fd)))
            except ExpensiveVideo:
                refused += 1
    assert refused < 300


def test_a_mutant_is_the_same_each_time_and_differs_from_its_seed() -> None:
    first = [mutant(number, SEEDS) for number in range(50)]

    assert first == [mutant(number, SEEDS) for number in range(50)]
    assert sum(each.data != SEEDS[each.seed] for each in first) > 40
    assert mutant(3, SEEDS, campaign=1) != mutant(3, SEEDS)


def test_an_expensive_or_late_video_and_a_dead_worker_are_noticed() -> None:
    def outcome(code: str, detail: str, cpu_seconds: float) -> Outcome:
        return Outcome(0, "a.mp4", ("flip",), 100, code, detail, cpu_seconds, 1.0)

    done = Campaign()
    done.add(outcome("ok", "", 0.1))
    assert (done.bad, done.died) == ([], [])
    done.add(outcome("ok", "", 4.0))
    done.add(outcome("late", "", 0.1))
    done.add(outcome("corrupt", "the decoder died on this video", 0.1))
    assert (len(done.bad), len(done.died), done.most_cpu_seconds) == (2, 1, 4.0)


@pytest.mark.slow
@pytest.mark.skipif(not _ATTACKS.is_dir(), reason="needs ../shared/attacks, beside the checkout")
def test_the_bombs_of_the_review_get_their_code_at_a_bounded_cost(tmp_path: Path) -> None:
    case = [sys.executable, str(_ATTACKS / "pssh_case.py"), "8000"]
    subprocess.run(case, cwd=tmp_path, check=True)
    files = [*sorted((_ATTACKS / "bombs").iterdir()), tmp_path / "pssh8000.mp4"]
    assert len(files) > 8
    with running(SERVICE, "/readyz", tmp_path / "data", SETTINGS) as server:
        for file in files:
            outcome, peak_bytes = measure(server, file.name, file.read_bytes(), "/classify")
            other, _ = measure(server, "another client", clip_bytes(), "/classify")
            assert is_well_answered(outcome, peak_bytes), (outcome, peak_bytes)
            assert outcome.code == ("ok" if file.name == _CHEAP else "too_expensive")
            assert other.status == 200
