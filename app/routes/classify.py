"""`POST /classify`: a video in, tags out."""

from typing import Any

from fastapi import APIRouter, Request

from app.dependencies import (
    AdmissionDep,
    RequestIdDep,
    ServiceDep,
    SettingsDep,
    StopwatchDep,
    TaggerDep,
)
from app.intake import dropped_when_gone, receive_video
from app.schemas import ClassifyAnswer, Options, read_question

router = APIRouter(tags=["videos"])

CLASSIFY_PATH = "/classify"


def _request_schema() -> dict[str, Any]:
    """The body and its options for OpenAPI: FastAPI does not see what streams past it."""
    properties = Options.model_json_schema()["properties"]
    video = {"type": "string", "format": "binary", "description": "The video."}
    form = {
        "type": "object",
        "properties": {"file": video, **properties},
        "required": ["file"],
        "additionalProperties": False,
    }
    raw = {"schema": {"type": "string", "format": "binary"}}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "video/*": raw,
                "application/octet-stream": raw,
            },
        },
        "parameters": [
            {
                "name": name,
                "in": "query",
                "schema": {key: value for key, value in schema.items() if key != "description"},
                "description": schema["description"],
            }
            for name, schema in properties.items()
        ],
    }


@router.post(CLASSIFY_PATH, summary="Tag a video", openapi_extra=_request_schema())
async def classify(
    request: Request,
    settings: SettingsDep,
    tagger: TaggerDep,
    admission: AdmissionDep,
    service: ServiceDep,
    request_id: RequestIdDep,
    watch: StopwatchDep,
) -> ClassifyAnswer:
    """Names what happens in a video.

    Send the video as the part `file` of a form, with the options as form fields, or as the body
    itself with `Content-Type: video/*`, with the options in the query.
    """
    query = request.query_params.multi_items()
    # a wrong option is told before the video is sent
    read_question(query, (), settings)
    async with receive_video(request, settings, admission, watch) as upload:
        question = read_question(query, upload.fields, settings)
        async with dropped_when_gone(request):
            classified = await service.classify(upload.video, question, watch)
        return ClassifyAnswer.of(
            classified,
            file=upload.video,
            tagger=tagger,
            request_id=request_id,
            timings=watch.seconds,
        )
