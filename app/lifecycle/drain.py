"""How the service stops: not ready, then no new requests, then no requests at all."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio

from app.errors import ServiceError


class ShuttingDown(ServiceError):
    """The service stops: it accepts no new requests, or has no time left for this one."""

    code = "shutting_down"


class Drain:
    """The stop of one server process; every step is final. Not thread-safe.

    `is_stopping`: the process is not ready any more, and clients should use new connections, which
    a load balancer sends elsewhere. `is_closed`: new requests are refused.
    """

    def __init__(self) -> None:
        self.is_stopping = False
        self.is_closed = False
        self._is_over = False
        self._scopes: set[anyio.CancelScope] = set()
        self._requests = 0

    @property
    def requests(self) -> int:
        """Number of requests that were accepted and are not answered yet."""
        return self._requests

    def begin(self) -> None:
        """Stop being ready."""
        self.is_stopping = True

    def close(self) -> None:
        """Refuse new requests."""
        self.begin()
        self.is_closed = True

    def end(self) -> None:
        """End the work of all requests; each is answered with ShuttingDown."""
        self.close()
        self._is_over = True
        for scope in tuple(self._scopes):
            scope.cancel()

    @contextmanager
    def request(self) -> Generator[None]:
        """Count a request for the block. Raises ShuttingDown if new requests are refused."""
        if self.is_closed:
            raise ShuttingDown("the service is shutting down; send the request again")
        self._requests += 1
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self._requests -= 1

    @contextmanager
    def work(self) -> Generator[anyio.CancelScope]:
        """Cancel the block at the end of the stop, and raise ShuttingDown.

        A block that must not be cancelled any more calls `keep`.
        """
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._is_over:
                scope.cancel()
            try:
                yield scope
            finally:
                self._scopes.discard(scope)
        if scope.cancelled_caught:
            raise ShuttingDown(
                "the service is shutting down and has no time left for the request; send it again"
            )

    def keep(self, scope: anyio.CancelScope) -> None:
        """Do not cancel the block of `work` that has this scope."""
        self._scopes.discard(scope)


_current: ContextVar[Drain | None] = ContextVar("drain", default=None)


@contextmanager
def until_stopped() -> Generator[None]:
    """Cancel the block at the end of the stop of the service, and raise ShuttingDown.

    For answers that have begun. Outside of a request, does nothing.
    """
    drain = _current.get()
    if drain is None:
        yield
        return
    with drain.work():
        yield
