"""`POST /classify`: a video in, tags out."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.http.event_stream import EVENT_TYPE, EventStream, wants_events
from app.observe.timings import stage_seconds
from app.question import ClassifyRequest, OnProgress
from app.requests import cancel_on_disconnect
from app.routes.dependencies import StateDep
from app.routes.schemas.videos import ClassifyAnswer, Options, ProgressAnswer, read_classify_request
from app.routes.video_body import video_body
from app.upload.buffer import SealedFile
from app.upload.intake import receive_video

router = APIRouter(tags=["videos"])


async def _asked(
    request: Request, state: StateDep
) -> AsyncGenerator[tuple[SealedFile, ClassifyRequest]]:
    """The video and what is asked about it; the video is there until the answer was sent."""
    settings = state["settings"]
    query = request.query_params.multi_items()
    # a wrong option is told before the video is sent
    read_classify_request(query, (), settings)
    async with receive_video(request, settings, state["admission"]) as upload:
        yield upload.video, read_classify_request(query, upload.fields, settings)


@router.post(
    "/classify",
    summary="Tag a video",
    response_model=ClassifyAnswer,
    responses={200: {"content": {EVENT_TYPE: {"schema": {"type": "string"}}}}},
    openapi_extra=video_body(Options),
)
async def classify(
    request: Request,
    asked: Annotated[tuple[SealedFile, ClassifyRequest], Depends(_asked)],
    state: StateDep,
) -> ClassifyAnswer | Response:
    """Names what happens in a video.

    Send the video as the part `file` of a form, with the options as form fields, or as the body
    itself with `Content-Type: video/*`, with the options in the query.

    With `Accept: text/event-stream` the answer comes as Server-Sent Events: `progress` for every
    few windows of `granularity=segments`, then `result` with the same JSON as the plain answer,
    or `problem`.
    """
    video, options = asked

    async def answer(on_progress: OnProgress | None = None) -> ClassifyAnswer:
        classified = await state["service"].classify(video, options, on_progress)
        return ClassifyAnswer.of(
            classified,
            file=video,
            tagger=state["tagger"],
            request_id=state["request_id"],
            timings=stage_seconds(),
        )

    if wants_events(request):
        return EventStream(
            request, lambda send: answer(lambda progress: send(ProgressAnswer.of(progress)))
        )
    async with cancel_on_disconnect(request):
        return await answer()
