"""`POST /embed`: embeddings of texts or of a video."""

from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request

from app.errors import InvalidParameter
from app.labels.fields import body_schema, read_body
from app.observe.timings import stage_seconds
from app.question import Timestamps
from app.requests import JSON_TYPE, cancel_on_disconnect, media_type
from app.routes.dependencies import RequestState, StateDep
from app.routes.schemas.embeddings import EmbedAnswer, EmbedTexts
from app.routes.schemas.options import VideoOptions, read_options
from app.routes.schemas.videos import VideoAnswer
from app.routes.video_body import video_body
from app.settings import Settings
from app.upload.intake import receive_video

router = APIRouter(tags=["videos"])


def _body() -> dict[str, Any]:
    described = video_body(VideoOptions)
    texts = body_schema(EmbedTexts)["requestBody"]["content"]
    described["requestBody"]["content"] |= texts
    return described


@router.post("/embed", summary="Embed a text or a video", openapi_extra=_body())
async def embed(request: Request, state: StateDep) -> EmbedAnswer:
    """Returns unit vectors of a video or of texts in the space that both share.

    Send a video as for `POST /classify`, or JSON with a `text` or several `texts`. A text gets the
    vector that a label with this name has: made with the checkpoint's prompt templates, and
    centred. The inner product of a video's and a text's vector is their `similarity`.
    """
    service, admission = state["service"], state["admission"]
    query = request.query_params.multi_items()
    # wrong options in the query are refused before the video is received
    options = read_options(VideoOptions, query, "query")
    if media_type(request) == JSON_TYPE:
        # before the body is read; a JSON body is short and does not count as an upload
        admission.check()
        texts = _texts(await request.body(), state["settings"])
        async with cancel_on_disconnect(request):
            vectors = await service.embed_texts(texts, options.timeout_seconds)
        return _answer(vectors, None, None, state)
    async with receive_video(request, state["settings"], admission) as upload:
        options = read_options(
            VideoOptions, [*query, *upload.fields], "form" if upload.fields else "query"
        )
        async with cancel_on_disconnect(request):
            embedded = await service.embed_video(
                upload.video,
                options.timeout_seconds,
                decode=options.decode,
            )
        video = VideoAnswer.of(embedded.video, embedded.warnings, upload.video.sha256)
    return _answer(embedded.embedding[np.newaxis], video, embedded.timestamps, state)


def _answer(
    vectors: npt.NDArray[np.float32],
    video: VideoAnswer | None,
    timestamps: Timestamps | None,
    state: RequestState,
) -> EmbedAnswer:
    return EmbedAnswer.of(
        vectors,
        video,
        timestamps,
        tagger=state["tagger"],
        request_id=state["request_id"],
        timings=stage_seconds(),
    )


def _texts(body: bytes, settings: Settings) -> list[str]:
    texts = read_body(EmbedTexts, body).all
    if len(texts) > settings.max_ad_hoc_labels:
        raise InvalidParameter.at(
            "body", "texts", f"a request may have at most {settings.max_ad_hoc_labels} texts"
        )
    return texts
