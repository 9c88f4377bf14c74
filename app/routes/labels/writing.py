"""Shared by the routes that write labels: the JSON body, the thread that writes, the answer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from fastapi import Request, Response

from app.errors import UnsupportedMediaType
from app.http.etags import etag
from app.http.event_stream import EVENT_TYPE, EventStream, wants_events
from app.http.stoppable import run_stoppable
from app.labels.advice import Warned
from app.requests import JSON_TYPE, cancel_on_disconnect, media_type
from app.routes.schemas.labels import SetAnswer, WriteAnswer, WriteProgressAnswer
from app.routes.schemas.system import ModelAnswer
from app.store import Report, Stop, Written
from model import Tagger

# OpenAPI description of the answers to a write that may take long.
WRITE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {EVENT_TYPE: {"schema": {"type": "string"}}}}
}
# Time between two events of progress.
_PROGRESS_SECONDS = 1.0


async def json_body(request: Request) -> bytes:
    """Return the unparsed bytes of a JSON body, to be parsed in a thread.

    Raises UnsupportedMediaType, also for forms, which a web page of another origin could send.
    """
    if media_type(request) != JSON_TYPE:
        raise UnsupportedMediaType(f"send the body as {JSON_TYPE}")
    return await request.body()


class LabelWrite(Protocol):
    """A blocking write of labels, which reports its progress and stops when it is told to."""

    def __call__(self, *, report: Report, stop: Stop) -> WriteAnswer:
        """Write, and return the answer."""
        ...


async def answer_long_write(
    request: Request, response: Response, write: LabelWrite
) -> WriteAnswer | Response:
    """Run a write in a thread and answer it, as a stream of events if the client asks for one.

    The request's body must have been received. When the client disconnects, the write stops and
    stores nothing, unless all of it is stored already.
    """
    if wants_events(request):
        return EventStream(request, lambda send: _in_thread(write, send))
    async with cancel_on_disconnect(request):
        answer = await _in_thread(write)
    response.headers["ETag"] = etag(answer.label_set.revision)
    return answer


async def _in_thread(
    write: LabelWrite, send: Callable[[WriteProgressAnswer], Awaitable[None]] | None = None
) -> WriteAnswer:
    progress = sent = WriteProgressAnswer(done=0, total=0)

    def report(embedded: int, total: int) -> None:
        nonlocal progress
        progress = WriteProgressAnswer(done=embedded, total=total)

    async def send_progress() -> None:
        nonlocal sent
        if send is not None and progress != sent:
            sent = progress
            await send(sent)

    return await run_stoppable(
        lambda stop: write(report=report, stop=stop),
        meanwhile=send_progress,
        meanwhile_seconds=_PROGRESS_SECONDS,
    )


def answer_write(
    response: Response, written: Written, tagger: Tagger, warnings: Sequence[Warned] = ()
) -> WriteAnswer:
    """Return the answer to a short write, and set the new revision as ETag."""
    response.headers["ETag"] = etag(written.state.revision)
    return write_answer(written, tagger, warnings)


def write_answer(written: Written, tagger: Tagger, warnings: Sequence[Warned] = ()) -> WriteAnswer:
    """Return the answer to a write."""
    return WriteAnswer(
        created=written.created,
        updated=written.updated,
        removed=written.removed,
        warnings=list(warnings),
        label_set=SetAnswer.of(written.state),
        model=ModelAnswer.of(tagger),
    )
