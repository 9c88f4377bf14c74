"""The short form of `make soak-mixed`, and how growth is told from noise."""

from pathlib import Path

import pytest

from app.settings import Settings
from benchmarks.fuzz.over_http import SERVICE, SETTINGS
from benchmarks.harness.servers import running
from benchmarks.hostile.mixed import MAX_GROWTH, Held, growth, watch
from tests.support.keys import ALL_SCOPES, bearer, issue_key


@pytest.mark.slow
def test_requests_of_every_kind_end_as_foreseen(tmp_path: Path) -> None:
    headers = bearer(issue_key(Settings(data_dir=tmp_path), *ALL_SCOPES))
    with running(SERVICE, "/readyz", tmp_path, SETTINGS) as server:
        *_, (held, ends, wrong) = watch(server, headers, requests=200, block=100, seed=1)
        assert server.tree()

    assert wrong == []
    assert held.requests == sum(counts.total() for counts in ends.values()) == 200
    assert len(ends) >= 18
    assert min(held.memory_mb, held.descriptors, held.threads, held.shared_mb) > 0


def test_growth_is_the_slope_after_the_warm_up() -> None:
    def looks(mb_per_1000: float) -> list[Held]:
        warm = [Held(count, 100.0 + count, 90, 20, 3.0) for count in (0, 500, 1000, 1500)]
        return warm + [
            Held(count, 1600.0 + mb_per_1000 * count / 1000, 90 + count // 500 % 2, 20, 3.0)
            for count in range(2000, 10_500, 500)
        ]

    assert growth(looks(0.2))["memory_mb"] == 0.2
    assert growth(looks(1.5))["memory_mb"] > MAX_GROWTH["memory_mb"]
    assert all(growth(looks(0.0))[part] <= most for part, most in MAX_GROWTH.items())
