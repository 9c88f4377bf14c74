"""Routes for kept videos: list, read, ask again, delete."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from app.labels.fields import body_schema, read_body
from app.observe.timings import stage_seconds
from app.requests import cancel_on_disconnect
from app.routes.addressing import (
    PageSize,
    PageToken,
    known_parameters,
    read_place,
    write_token,
)
from app.routes.dependencies import RequestState, StateDep
from app.routes.integrations.subtitles import SUBTITLE_CONTENT, as_accepted
from app.routes.labels.writing import json_body
from app.routes.permissions import check_question
from app.routes.schemas.archive import KeptVideoAnswer, KeptVideosAnswer, RemovedVideoAnswer
from app.routes.schemas.options import QuestionOptions, kept_request
from app.routes.schemas.video_filter import FilterDep
from app.routes.schemas.videos import ClassifyAnswer

router = APIRouter(tags=["archive"], dependencies=[Depends(known_parameters)])

Digest = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the video file in hex.")
]


@router.get("/videos", summary="List kept videos")
async def list_videos(
    state: StateDep, wanted: FilterDep, page_size: PageSize = 100, page_token: PageToken = ""
) -> KeptVideosAnswer:
    """Returns a page of kept videos, newest first. Each checkpoint's analysis is an item."""
    videos, query = state["videos"], repr(wanted)
    before = read_place(page_token, query, _read_id)
    kept = await videos.page(wanted, before, page_size + 1)
    more = str(kept[page_size - 1].id) if len(kept) > page_size else None
    return KeptVideosAnswer(
        items=[
            KeptVideoAnswer.of(each, in_use=videos.is_usable(each)) for each in kept[:page_size]
        ],
        next_page_token=write_token(more, query),
    )


def _read_id(last: str) -> int:
    before = int(last)
    if not 0 < before < 2**63:
        raise ValueError("no id of an analysis")
    return before


@router.get("/videos/{sha256}", summary="Read a kept video")
async def get_video(state: StateDep, sha256: Digest) -> KeptVideoAnswer:
    """Returns the analysis of the running checkpoint, or else the newest of another one."""
    kept = await state["videos"].of_video(sha256)
    return KeptVideoAnswer.of(kept, in_use=state["videos"].is_usable(kept))


@router.delete("/videos/{sha256}", summary="Delete a kept video")
async def delete_video(state: StateDep, sha256: Digest) -> RemovedVideoAnswer:
    """Deletes what is kept of the video, by every checkpoint."""
    return RemovedVideoAnswer(removed=await state["videos"].remove(sha256))


def _question() -> dict[str, Any]:
    described = body_schema(QuestionOptions)
    described["requestBody"]["required"] = False
    return described


@router.post(
    "/videos/{sha256}/classify",
    summary="Tag a kept video again",
    response_model=ClassifyAnswer,
    responses={200: {"content": SUBTITLE_CONTENT}},
    openapi_extra=_question(),
)
async def classify_kept(
    request: Request, state: StateDep, sha256: Digest
) -> ClassifyAnswer | Response:
    """Answers from the kept analysis what an upload of the video would be answered, without it.

    The body is a JSON object with the options of `POST /classify`; without a body, all have their
    defaults, those of windows and decode mode being the ones that the video was kept with. Other
    windows are computed from kept chunks, and need at least one each.
    """
    has_body = bool(await request.body())
    options = read_body(QuestionOptions, await json_body(request) if has_body else b"{}")
    async with cancel_on_disconnect(request):
        return as_accepted(request, await ask_kept_video(state, sha256, options))


async def ask_kept_video(
    state: RequestState, sha256: str, options: QuestionOptions
) -> ClassifyAnswer:
    """Answer a question from the kept analysis of a video."""
    analysis = await state["videos"].analysis(sha256)
    asked = kept_request(options, analysis, state["settings"])
    check_question(asked, state["grant"])
    classified = await state["videos"].classify(analysis, asked)
    return ClassifyAnswer.of(
        classified,
        sha256=sha256,
        kept=True,
        tagger=state["tagger"],
        request_id=state["request_id"],
        timings=stage_seconds(),
    )
