"""Errors that the client raises; `problems` has one for each code of the service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class KinolexClientError(Exception):
    """Base of the client's errors."""


class ConnectionFailed(KinolexClientError):
    """The service did not answer: no connection, or one that broke."""


class UnexpectedAnswer(KinolexClientError):
    """The answer is not one of Kinolex: the address may be that of another service."""


class JobNotFinished(KinolexClientError):
    """The job did not end in time."""


class JobCancelled(KinolexClientError):
    """The job was cancelled before it had a result."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the request: a JSON pointer into a part of it (`query`, `body`, ...)."""

    pointer: str
    part: str
    detail: str


class Problem(KinolexClientError):
    """The service refused or failed (RFC 9457); subclasses are named after codes.

    A code that this version of the client does not know is a plain `Problem`.
    """

    known_code: ClassVar[str] = ""

    def __init__(self, document: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.code: str = document["code"]
        self.status: int = document["status"]
        self.title: str = document["title"]
        self.detail: str = document["detail"]
        self.request_id: str = document["request_id"]
        self.faults: Sequence[Fault] = tuple(
            Fault(each["pointer"], each["in"], each["detail"])
            for each in document.get("errors", ())
        )
        #: seconds after which the service suggests to try again
        self.retry_after = retry_after
        super().__init__(f"{self.detail or self.title} ({self.code})")
