"""Quotas: exact over several processes, few writes, and stated in the answer."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access.errors import QuotaExceeded
from app.access.meter import charge_video, charged_to
from app.access.quotas import Quotas
from app.access.rate_headers import rate_headers
from app.store.access import KeyStore, Limits, Pool, Rights, Taken, Want

pytestmark = pytest.mark.anyio

# a minute that begins at a multiple of 60
NOON = 1_764_417_600.0


class CountedStore(KeyStore):
    """Counts how often units are taken."""

    writes = 0

    def take(self, wants: Sequence[Want]) -> list[Taken]:
        self.writes += 1
        return super().take(wants)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(migrated_url: str) -> Iterator[CountedStore]:
    store = CountedStore.open(migrated_url)
    yield store
    store.close()


def pools_of(store: KeyStore, **limits: int) -> tuple[Pool, ...]:
    """The quotas of a new key with these limits."""
    return store.create("a", "", Rights(frozenset(), None, Limits(**limits)), digest="d").pools


async def take(quotas: Quotas, pools: tuple[Pool, ...], times: int) -> int:
    """How many of some requests are not refused."""
    taken = 0
    for _ in range(times):
        try:
            await quotas.take_request(pools)
        except QuotaExceeded:
            continue
        taken += 1
    return taken


async def test_two_replicas_share_a_limit(store: CountedStore, clock: Clock) -> None:
    pools = pools_of(store, requests_per_minute=10)
    first, second = Quotas(store, clock=clock), Quotas(store, clock=clock)

    taken = await take(first, pools, 6) + await take(second, pools, 6)

    assert taken == 10
    clock.now += 60
    assert await take(second, pools, 20) == 10


async def test_concurrent_requests_of_one_key_stay_within_its_limit(
    store: CountedStore, clock: Clock
) -> None:
    pools = pools_of(store, requests_per_minute=300)
    replicas = [Quotas(store, clock=clock) for _ in range(2)]
    taken = []

    async def ask(quotas: Quotas) -> None:
        taken.append(await take(quotas, pools, 20))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(ask, replicas[number % 2])

    # a replica may hold a hundredth that it does not use
    assert 300 - 2 * 3 <= sum(taken) <= 300


async def test_a_large_limit_is_taken_in_few_writes(store: CountedStore, clock: Clock) -> None:
    pools = pools_of(store, requests_per_minute=10_000, requests_per_day=1_000_000)
    quotas = Quotas(store, clock=clock)

    assert await take(quotas, pools, 500) == 500
    assert store.writes == 5


async def test_a_refused_client_does_not_keep_the_database_busy(
    store: CountedStore, clock: Clock
) -> None:
    pools = pools_of(store, requests_per_minute=1)
    quotas = Quotas(store, clock=clock)

    assert await take(quotas, pools, 50) == 1
    assert store.writes == 2


async def test_a_refusal_says_when_to_come_back(store: CountedStore, clock: Clock) -> None:
    pools = pools_of(store, requests_per_minute=1)
    quotas = Quotas(store, clock=clock)
    clock.now += 20.5
    await quotas.take_request(pools)

    with pytest.raises(QuotaExceeded, match="1 requests per minute") as refused:
        await quotas.take_request(pools)

    assert refused.value.retry_after_seconds == 40
    clock.now += 40
    await quotas.take_request(pools)


async def test_the_excess_of_a_video_is_taken_from_the_next_minutes(
    store: CountedStore, clock: Clock
) -> None:
    pools = pools_of(store, video_seconds_per_minute=60)
    quotas = Quotas(store, clock=clock)
    await quotas.require_video(pools)
    await quotas.take_video(pools, 150.0)

    with pytest.raises(QuotaExceeded) as refused:
        await quotas.require_video(pools)

    assert refused.value.retry_after_seconds == 120
    clock.now += 119
    with pytest.raises(QuotaExceeded):
        await quotas.require_video(pools)
    clock.now += 1
    await quotas.require_video(pools)


async def test_the_last_second_of_each_replica_admits_one_more_video(
    store: CountedStore, clock: Clock
) -> None:
    pools = pools_of(store, video_seconds_per_minute=60)
    first, second = Quotas(store, clock=clock), Quotas(store, clock=clock)
    await first.require_video(pools)
    await second.require_video(pools)
    await first.take_video(pools, 59.0)
    await second.take_video(pools, 10.0)

    for quotas in (first, second):
        with pytest.raises(QuotaExceeded):
            await quotas.take_video(pools, 10.0)
        with pytest.raises(QuotaExceeded) as refused:
            await quotas.require_video(pools)
        assert refused.value.retry_after_seconds == 60


async def test_a_video_is_charged_once_in_a_request(store: CountedStore, clock: Clock) -> None:
    pools = pools_of(store, video_seconds_per_minute=60)
    quotas = Quotas(store, clock=clock)

    await charge_video("sha", 1000.0)
    with charged_to(quotas, pools):
        await charge_video("sha", 20.0)
        await charge_video("sha", 20.0)
        await charge_video("another", 20.0)

    assert [state.left for state in quotas.states(pools)] == [20]


async def test_keys_that_a_key_created_share_its_limit(store: CountedStore, clock: Clock) -> None:
    pools_of(store, requests_per_minute=5)
    rights = Rights(frozenset(), None, Limits(requests_per_minute=5))
    children = [store.create(name, "", rights, digest="d", created_by="a") for name in "bc"]
    quotas = Quotas(store, clock=clock)

    assert sum([await take(quotas, child.pools, 5) for child in children]) == 5


async def test_a_clock_that_jumps_back_gives_nothing_twice(
    store: CountedStore, clock: Clock
) -> None:
    pools = pools_of(store, requests_per_minute=5)
    quotas = Quotas(store, clock=clock)
    assert await take(quotas, pools, 5) == 5

    clock.now -= 3600

    assert await take(quotas, pools, 5) == 0


async def test_the_headers_state_policy_and_rest(store: CountedStore, clock: Clock) -> None:
    pools = pools_of(store, requests_per_minute=100, video_seconds_per_day=3600)
    quotas = Quotas(store, clock=clock)
    clock.now += 15
    await quotas.take_request(pools)
    await quotas.take_video(pools, 12.5)

    fields = dict(rate_headers(quotas.states(pools)))

    assert fields[b"ratelimit-policy"] == (
        b'"requests-per-minute";q=100;w=60, "video-seconds-per-day";q=3600;w=86400'
    )
    requests, video = fields[b"ratelimit"].split(b", ")
    assert requests == b'"requests-per-minute";r=99;t=45'
    assert video.startswith(b'"video-seconds-per-day";r=3587;t=')
    assert rate_headers([]) == []


# not a coroutine: hypothesis runs each example in an event loop of its own
@given(
    limit=st.integers(1, 40),
    asked=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 70)), max_size=40),
)
def test_no_minute_holds_more_requests_than_its_limit(
    limit: int, asked: list[tuple[int, int]]
) -> None:
    async def replay() -> None:
        clock = Clock()
        replicas = [Quotas(store, clock=clock) for _ in range(2)]
        per_minute: dict[int, int] = {}
        for replica, seconds in asked:
            clock.now += seconds
            if await take(replicas[replica], pools, 1):
                minute = int(clock.now // 60)
                per_minute[minute] = per_minute.get(minute, 0) + 1
        assert all(count <= limit for count in per_minute.values())

    with tempfile.TemporaryDirectory() as folder:
        store = KeyStore.open(f"sqlite:///{Path(folder) / 'labels.sqlite'}")
        pools = pools_of(store, requests_per_minute=limit)
        anyio.run(replay)
        store.close()
