"""Takes requests and seconds of video from quotas that all processes share.

A process takes a hundredth of a quota at a time and counts in memory what it has taken. The
database is therefore written at most about 100 times per window and process, and the limit is never
exceeded; up to a hundredth per process may stay unused.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import anyio
from anyio import to_thread

from app.access.errors import QuotaExceeded
from app.store.access import KeyStore, Pool, Quota, Refused, Want

_SHARE = 100


@dataclass(frozen=True, slots=True)
class QuotaState:
    """How much of a quota is left, and in how many seconds its next window begins."""

    quota: Quota
    left: int
    reset_seconds: int


@dataclass(slots=True)
class _Lease:
    """Units that this process has taken in a window and not used yet.

    `used` is what all processes had taken then. Before the window `refused_until`, the quota is
    known to be used up.
    """

    window: int = 0
    units: float = 0.0
    used: float = 0.0
    refused_until: int = 0


class Quotas:
    """The quotas of all keys as one process knows them; used on the event loop only.

    `clock` returns seconds since 1970.
    """

    def __init__(self, store: KeyStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._leases: defaultdict[tuple[str, str], _Lease] = defaultdict(_Lease)
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    async def take_request(self, pools: Sequence[Pool]) -> None:
        """Count a request. Raises QuotaExceeded or StoreUnavailable."""
        await self._take(_quotas(pools, counts_video=False), 1)

    async def require_video(self, pools: Sequence[Pool]) -> None:
        """Raise QuotaExceeded if no second of video is left, or StoreUnavailable."""
        await self._take(_quotas(pools, counts_video=True), 0)

    async def take_video(self, pools: Sequence[Pool], seconds: float) -> None:
        """Count a video of this duration. Raises QuotaExceeded or StoreUnavailable.

        The video may exceed what is left; the excess is subtracted from the next windows.
        """
        await self._take(_quotas(pools, counts_video=True), seconds)

    def states(self, pools: Sequence[Pool]) -> list[QuotaState]:
        """Return how much is left of each quota that was asked for, the tightest one of a name."""
        found: dict[str, QuotaState] = {}
        for key_id, quota in (pair for pool in pools for pair in _pairs(pool)):
            lease = self._leases.get((key_id, quota.name))
            if lease is None:
                continue
            state = self._state(quota, lease)
            if quota.name not in found or state.left < found[quota.name].left:
                found[quota.name] = state
        return list(found.values())

    def _state(self, quota: Quota, lease: _Lease) -> QuotaState:
        now = self._clock()
        window = self._window(quota)
        left = float(quota.limit)
        if lease.refused_until > window:
            left, window = 0.0, lease.refused_until - 1
        elif lease.window >= window:
            left, window = quota.limit - lease.used + lease.units, lease.window
        reset = (window + 1) * quota.seconds - now
        return QuotaState(quota, max(0, math.floor(left)), max(1, math.ceil(reset)))

    async def _take(self, quotas: Sequence[tuple[str, Quota]], units: float) -> None:
        if not quotas or self._take_leased(quotas, units):
            return
        # one question to the database at a time for each key
        async with self._locks[quotas[0][0]]:
            while not self._take_leased(quotas, units):
                await self._take_from_database(quotas, units)

    def _take_leased(self, quotas: Sequence[tuple[str, Quota]], units: float) -> bool:
        """Use units that this process has taken before; False if it has too few of a quota."""
        leases = []
        for key_id, quota in quotas:
            lease = self._lease(key_id, quota)
            if lease.refused_until > self._window(quota):
                self._refuse(quota, lease)
            leases.append(lease)
        if any(lease.units < units or lease.units <= 0 for lease in leases):
            return False
        for lease in leases:
            lease.units -= units
        return True

    async def _take_from_database(self, quotas: Sequence[tuple[str, Quota]], units: float) -> None:
        wants = []
        for key_id, quota in quotas:
            lease = self._lease(key_id, quota)
            if lease.units < units or lease.units <= 0:
                need = max(0.0, units - lease.units)
                hope = max(need, math.ceil(quota.limit / _SHARE))
                window, holds_some = self._window(quota), lease.units > 0
                wants.append(Want(key_id, quota, window, need, hope, holds_some))
        try:
            taken = await to_thread.run_sync(self._store.take, wants)
        except Refused as refusal:
            quota = refusal.want.quota
            lease = self._lease(refusal.want.key_id, quota)
            lease.refused_until = refusal.window + int(refusal.used // quota.limit)
            self._refuse(quota, lease)
        for want, got in zip(wants, taken, strict=True):
            lease = self._leases[want.key_id, want.quota.name]
            lease.units = got.units + (lease.units if lease.window == got.window else 0.0)
            lease.used, lease.window = got.used, got.window

    def _lease(self, key_id: str, quota: Quota) -> _Lease:
        """Return the lease of a quota; one of an earlier window is emptied."""
        lease = self._leases[key_id, quota.name]
        if lease.window < self._window(quota):
            lease.units = 0.0
        return lease

    def _window(self, quota: Quota) -> int:
        return int(self._clock() // quota.seconds)

    def _refuse(self, quota: Quota, lease: _Lease) -> NoReturn:
        seconds = math.ceil(lease.refused_until * quota.seconds - self._clock())
        unit = "seconds of video" if quota.counts_video else "requests"
        per = quota.name.rpartition("-")[2]
        raise QuotaExceeded(
            f"the API key may use {quota.limit} {unit} per {per}, and they are used up",
            retry_after_seconds=max(1, seconds),
        )


def _pairs(pool: Pool) -> list[tuple[str, Quota]]:
    return [(pool.key_id, quota) for quota in pool.quotas]


def _quotas(pools: Sequence[Pool], *, counts_video: bool) -> list[tuple[str, Quota]]:
    pairs = [pair for pool in pools for pair in _pairs(pool)]
    return [(key_id, quota) for key_id, quota in pairs if quota.counts_video == counts_video]
