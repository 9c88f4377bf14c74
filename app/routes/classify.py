"""`POST /classify`: tags of a video."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.http.event_stream import EVENT_TYPE, EventStream, wants_events
from app.observe.timings import stage_seconds
from app.question import ClassifyRequest, OnProgress
from app.requests import cancel_on_disconnect
from app.routes.dependencies import StateDep
from app.routes.integrations.subtitles import SUBTITLE_CONTENT, as_accepted
from app.routes.permissions import check_question
from app.routes.schemas.options import ClassifyOptions, read_classify_request
from app.routes.schemas.videos import ClassifyAnswer, ProgressAnswer
from app.routes.video_body import video_body
from app.upload.buffer import SealedFile
from app.upload.intake import receive_video

router = APIRouter(tags=["videos"])


async def _received(
    request: Request, state: StateDep
) -> AsyncGenerator[tuple[SealedFile, ClassifyRequest]]:
    """Receive the video and its options; the file exists until the answer is sent."""
    settings = state["settings"]
    query = request.query_params.multi_items()
    # wrong options in the query are refused before the video is received
    read_classify_request(query, (), settings)
    if named := request.query_params.get("label_set"):
        state["grant"].check_label_set(named)
    async with receive_video(request, settings, state["admission"]) as upload:
        options = read_classify_request(query, upload.fields, settings)
        check_question(options, state["grant"])
        yield upload.video, options


@router.post(
    "/classify",
    summary="Tag a video",
    response_model=ClassifyAnswer,
    responses={200: {"content": {EVENT_TYPE: {"schema": {"type": "string"}}, **SUBTITLE_CONTENT}}},
    openapi_extra=video_body(ClassifyOptions),
)
async def classify(
    request: Request,
    received: Annotated[tuple[SealedFile, ClassifyRequest], Depends(_received)],
    state: StateDep,
) -> ClassifyAnswer | Response:
    """Returns the labels that apply to a video, with scores, and with times if requested.

    Send the video as the part `file` of a form with the options as form fields, or as the request
    body with `Content-Type: video/*` and the options in the query.

    With `Accept: text/event-stream` the answer is a stream of Server-Sent Events: `progress` after
    every few windows of `granularity=segments`, then `result` with the JSON of the plain answer, or
    `problem`. With `Accept: text/vtt` or `application/x-subrip` the answer is subtitles.
    """
    video, options = received

    async def answer(on_progress: OnProgress | None = None) -> ClassifyAnswer:
        classified = await state["service"].classify(video, options, on_progress)
        kept = await state["videos"].keep(classified, options, state["request_id"])
        return ClassifyAnswer.of(
            classified,
            sha256=video.sha256,
            kept=kept,
            tagger=state["tagger"],
            request_id=state["request_id"],
            timings=stage_seconds(),
        )

    if wants_events(request):
        return EventStream(
            request, lambda send: answer(lambda progress: send(ProgressAnswer.of(progress)))
        )
    async with cancel_on_disconnect(request):
        return as_accepted(request, await answer())
