"""Routes that search kept videos: by words, and by a clip."""

import json
from dataclasses import dataclass
from typing import Annotated, Self

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request

from app.archive.search import Found, SpanQuery
from app.archive.spans import SpanKey
from app.observe.timings import stage, stage_seconds
from app.requests import cancel_on_disconnect
from app.routes.addressing import PageToken, known_parameters, read_place, write_token
from app.routes.dependencies import RequestState, StateDep
from app.routes.schemas.archive import FoundSpanAnswer, SearchAnswer
from app.routes.schemas.options import read_options
from app.routes.schemas.system import ModelAnswer
from app.routes.schemas.video_filter import MAX_SPANS, FilterDep, MinScore, SearchOptions, SpanCount
from app.routes.schemas.videos import UnknownAnswer
from app.routes.video_body import video_body
from app.store.analyses import VideoFilter
from app.upload.intake import receive_video
from model import Prototypes

router = APIRouter(tags=["archive"])


@dataclass(frozen=True, slots=True)
class _Page:
    """Which spans are wanted: checked before a text or a clip is embedded."""

    wanted: VideoFilter
    min_score: float
    size: int
    after: SpanKey | None
    token_query: str

    @classmethod
    def of(
        cls,
        state: RequestState,
        asked: str,
        wanted: VideoFilter,
        min_score: float,
        size: int,
        token: str,
    ) -> Self:
        """Read the page that a token names. Raises InvalidParameter for that of another search."""
        token_query = f"{asked} {min_score} {wanted} {state['tagger'].revision}"
        after = read_place(token, token_query, _read_key)
        return cls(wanted, min_score, size, after, token_query)


@router.get(
    "/search", summary="Find words in kept videos", dependencies=[Depends(known_parameters)]
)
async def search_words(
    request: Request,
    state: StateDep,
    wanted: FilterDep,
    q: Annotated[str, Query(min_length=1, max_length=1000, description="What to find, in words.")],
    min_score: MinScore = 0.0,
    page_size: SpanCount = 10,
    page_token: PageToken = "",
) -> SearchAnswer:
    """Returns the spans of kept videos that show what the words say, best first.

    Only analyses of the running checkpoint are searched.
    """
    async with cancel_on_disconnect(request):
        return await find_words(state, q, wanted, min_score, page_size, page_token)


async def find_words(
    state: RequestState,
    words: str,
    wanted: VideoFilter,
    min_score: float,
    page_size: int,
    page_token: str,
) -> SearchAnswer:
    """Answer a search by words."""
    page = _Page.of(state, f"q {words}", wanted, min_score, page_size, page_token)
    return await _answer(state, await state["queries"].of_text(words), page)


@router.post(
    "/search", summary="Find a clip in kept videos", openapi_extra=video_body(SearchOptions)
)
async def search_clip(request: Request, state: StateDep) -> SearchAnswer:
    """Returns the spans of kept videos that are like a clip, best first.

    Send the clip as for `POST /classify`; it is not kept.
    """
    query = request.query_params.multi_items()
    # wrong options in the query are refused before the video is received
    _ = read_options(SearchOptions, query, "query").wanted
    async with receive_video(request, state["settings"], state["admission"]) as upload:
        part = "form" if upload.fields else "query"
        options = read_options(SearchOptions, [*query, *upload.fields], part)
        page = _Page.of(
            state,
            f"clip {upload.video.sha256}",
            options.wanted,
            options.min_score,
            min(options.page_size, MAX_SPANS),
            options.page_token,
        )
        async with cancel_on_disconnect(request):
            prototypes = await state["queries"].of_clip(
                upload.video, options.timeout_seconds, options.decode
            )
            return await _answer(state, prototypes, page)


async def _answer(state: RequestState, prototypes: Prototypes, page: _Page) -> SearchAnswer:
    query = SpanQuery(prototypes, page.wanted, page.min_score, page.size, page.after)
    with stage("search"):
        found = await to_thread.run_sync(state["search"].find, query)
    return SearchAnswer(
        request_id=state["request_id"],
        items=[FoundSpanAnswer.of(span) for span in found.spans],
        next_page_token=write_token(_last_key(found), page.token_query),
        unknown=UnknownAnswer.model_validate(found.unknown, from_attributes=True),
        videos=found.videos,
        model=ModelAnswer.of(state["tagger"]),
        timings=stage_seconds(),
    )


def _read_key(last: str) -> SpanKey:
    score, video, start = json.loads(last)
    return SpanKey(float(score), int(video), float(start))


def _last_key(found: Found) -> str | None:
    if not found.has_more:
        return None
    key = found.spans[-1].key
    return json.dumps([key.descending_score, key.descending_id, key.start_seconds])
