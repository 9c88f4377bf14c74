"""A client of Kinolex, which names what happens in a video, in words you choose.

`Kinolex` and `AsyncKinolex` have the same methods. `answers` has what they return, `problems` the
errors of the service, one for each code.
"""

from kinolex_client import answers, problems
from kinolex_client._async.client import AsyncKinolex
from kinolex_client._sync.client import Kinolex
from kinolex_client.errors import (
    ConnectionFailed,
    Fault,
    JobCancelled,
    JobNotFinished,
    KinolexClientError,
    Problem,
    UnexpectedAnswer,
)
from kinolex_client.retries import Retries

__all__ = [
    "AsyncKinolex",
    "ConnectionFailed",
    "Fault",
    "JobCancelled",
    "JobNotFinished",
    "Kinolex",
    "KinolexClientError",
    "Problem",
    "Retries",
    "UnexpectedAnswer",
    "answers",
    "problems",
]
