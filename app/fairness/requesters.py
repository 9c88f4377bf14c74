"""Whose work the current task does: a context variable, as the timings of a request are."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Requester:
    """One request of a client; `client` is an API key's id or an address."""

    client: str


# Work that no request waits for, such as the first inference.
_NOBODY = Requester("")
_current: ContextVar[Requester] = ContextVar("requester", default=_NOBODY)


def current_requester() -> Requester:
    """Return whose work the current task does."""
    return _current.get()


@contextmanager
def as_requester(requester: Requester) -> Generator[None]:
    """Do the block's work, and that of the tasks started in it, for this requester."""
    token = _current.set(requester)
    try:
        yield
    finally:
        _current.reset(token)
