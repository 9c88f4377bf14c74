"""Shared by the routes that write labels: reading the JSON body, and making the answer."""

from collections.abc import Sequence

from fastapi import Request, Response

from app.errors import UnsupportedMediaType
from app.http.etags import etag
from app.labels.advice import Warned
from app.requests import JSON_TYPE, media_type
from app.routes.schemas.labels import SetAnswer, WriteAnswer
from app.routes.schemas.system import ModelAnswer
from app.store import Written
from model import Tagger


async def json_body(request: Request) -> bytes:
    """Return the unparsed bytes of a JSON body, to be parsed in a thread.

    Raises UnsupportedMediaType, also for forms, which a web page of another origin could send.
    """
    if media_type(request) != JSON_TYPE:
        raise UnsupportedMediaType(f"send the body as {JSON_TYPE}")
    return await request.body()


def answer_write(
    response: Response, written: Written, tagger: Tagger, warnings: Sequence[Warned] = ()
) -> WriteAnswer:
    """Return the answer to a write, and set the new revision as ETag."""
    response.headers["ETag"] = etag(written.state.revision)
    return WriteAnswer(
        created=written.created,
        updated=written.updated,
        removed=written.removed,
        warnings=list(warnings),
        label_set=SetAnswer.of(written.state),
        model=ModelAnswer.of(tagger),
    )
