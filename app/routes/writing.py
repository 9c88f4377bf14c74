"""What the routes that write labels share: a JSON body as it is, and the answer to a write."""

from collections.abc import Sequence

from fastapi import Request, Response

from app.errors import UnsupportedMediaType
from app.http.etags import etag
from app.labels.advice import Warned
from app.requests import JSON_TYPE, media_type
from app.routes.schemas.labels import SetAnswer, WriteAnswer
from app.routes.schemas.videos import ModelAnswer
from app.store import Written
from model import Tagger


async def json_body(request: Request) -> bytes:
    """The bytes of a JSON body: a large one is parsed in a thread, not on the event loop.

    Raises UnsupportedMediaType; asking for JSON also keeps out the forms of foreign web pages.
    """
    if media_type(request) != JSON_TYPE:
        raise UnsupportedMediaType("send application/json")
    return await request.body()


def answer_write(
    response: Response, written: Written, tagger: Tagger, warnings: Sequence[Warned] = ()
) -> WriteAnswer:
    """What was done, with the new revision as ETag."""
    response.headers["ETag"] = etag(written.state.revision)
    return WriteAnswer(
        created=written.created,
        updated=written.updated,
        removed=written.removed,
        warnings=list(warnings),
        label_set=SetAnswer.of(written.state),
        model=ModelAnswer(id=tagger.model_id, revision=tagger.revision),
    )
