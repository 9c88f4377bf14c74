"""Shared by the routes that write labels: the JSON body, the thread that writes, the answer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias

from fastapi import Request, Response

from app.errors import UnsupportedMediaType
from app.http.etags import etag
from app.http.event_stream import EVENT_TYPE, EventStream, SendProgress, wants_events
from app.http.slow_answer import SendLineBreak, SlowAnswer
from app.http.stoppable import run_stoppable
from app.labels.advice import Warned
from app.requests import JSON_TYPE, media_type
from app.routes.schemas.labels import SetAnswer, WriteAnswer, WriteProgressAnswer
from app.routes.schemas.system import ModelAnswer
from app.store import Report, Stop, Written
from model import Tagger

# OpenAPI description of the answers to a write that may take long.
WRITE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {EVENT_TYPE: {"schema": {"type": "string"}}}}
}
# Time between two reports of progress.
_PROGRESS_SECONDS = 1.0
# The answer to a write that embeds more labels begins before its end. This many take seconds.
_MANY_LABELS = 1_000

_EachSecond: TypeAlias = Callable[[WriteProgressAnswer], Awaitable[None]]


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


def answer_long_write(request: Request, write: LabelWrite) -> Response:
    """Return the answer to a write, which runs in a thread while it is sent.

    It is a stream of events if the client asks for one, else JSON, which begins with a line break
    for each second of a long write. The request's body must have been received. When the client
    disconnects, the write stops and stores nothing, unless all of it is stored already.
    """
    if wants_events(request):
        return EventStream(request, lambda send: _with_events(write, send))
    return SlowAnswer(request, lambda send: _with_line_breaks(write, send))


async def _with_events(write: LabelWrite, send: SendProgress) -> WriteAnswer:
    sent = WriteProgressAnswer(done=0, total=0)

    async def send_news(progress: WriteProgressAnswer) -> None:
        nonlocal sent
        if progress != sent:
            sent = progress
            await send(sent)

    return await _in_thread(write, send_news)


async def _with_line_breaks(write: LabelWrite, send: SendLineBreak) -> Response:
    async def send_if_many(progress: WriteProgressAnswer) -> None:
        if progress.total > _MANY_LABELS:
            await send()

    answer = await _in_thread(write, send_if_many)
    headers = {"ETag": etag(answer.label_set.revision)}
    return Response(answer.model_dump_json(), headers=headers, media_type=JSON_TYPE)


async def _in_thread(write: LabelWrite, each_second: _EachSecond) -> WriteAnswer:
    progress = WriteProgressAnswer(done=0, total=0)

    def report(embedded: int, total: int) -> None:
        nonlocal progress
        progress = WriteProgressAnswer(done=embedded, total=total)

    return await run_stoppable(
        lambda stop: write(report=report, stop=stop),
        meanwhile=lambda: each_second(progress),
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
