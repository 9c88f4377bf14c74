"""Charges decoded video to the key that the surrounding work is done for.

The current meter is a context variable, like the timings of a request: the service charges a video
where it learns the duration, and need not know of keys.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from app.access.quotas import Quotas
from app.store.access import Pool


@dataclass(frozen=True, slots=True)
class _Meter:
    quotas: Quotas
    pools: Sequence[Pool]
    charged: set[str] = field(default_factory=set)


_current: ContextVar[_Meter | None] = ContextVar("meter", default=None)


@contextmanager
def charged_to(
    quotas: Quotas, pools: Sequence[Pool], charged: set[str] | None = None
) -> Generator[None]:
    """Charge the videos of the block, and of tasks that it starts, to these quotas.

    `charged` has the SHA-256 of videos that are not charged again; those of the block are added.
    """
    token = _current.set(_Meter(quotas, pools, set() if charged is None else charged))
    try:
        yield
    finally:
        _current.reset(token)


async def charge_video(sha256: str, seconds: float) -> None:
    """Charge a video that is about to be worked on, once in a block of `charged_to`.

    Nothing is charged outside such a block. Raises QuotaExceeded if the seconds of video are used
    up, and StoreUnavailable.
    """
    meter = _current.get()
    if meter is None or sha256 in meter.charged:
        return
    await meter.quotas.take_video(meter.pools, seconds)
    meter.charged.add(sha256)
