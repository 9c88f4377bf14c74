"""Routes for whole label sets: list, read, create, replace, copy, delete."""

from dataclasses import dataclass
from functools import partial

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from app.http.etags import etag, is_known, read_condition, require_condition, unchanged
from app.labels.advice import Warned, advise, advise_on_size, put_or_point
from app.labels.fields import PutSet, body_schema, new_labels, read_body
from app.routes.addressing import PageSize, PageToken, SetName, read_token, write_token
from app.routes.dependencies import GrantDep, SettingsDep, StoreDep, TaggerDep
from app.routes.labels.writing import (
    WRITE_RESPONSES,
    answer_long_write,
    answer_write,
    json_body,
    write_answer,
)
from app.routes.schemas.labels import OneSetAnswer, SetAnswer, SetsAnswer, WriteAnswer
from app.routes.schemas.system import ModelAnswer
from app.store import NewLabel, Report, Stop

router = APIRouter(tags=["label sets"])


@router.get("/label-sets", summary="List label sets")
async def list_sets(
    store: StoreDep,
    tagger: TaggerDep,
    grant: GrantDep,
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> SetsAnswer:
    """Returns a page of the label sets that the API key covers, sorted by name."""
    read = partial(
        store.sets,
        among=grant.rights.label_sets,
        after=read_token(page_token),
        limit=page_size + 1,
    )
    states = await to_thread.run_sync(read)
    last = states[page_size - 1].name if len(states) > page_size else None
    return SetsAnswer(
        items=[SetAnswer.of(state) for state in states[:page_size]],
        next_page_token=write_token(last),
        model=ModelAnswer.of(tagger),
    )


@router.get(
    "/label-sets/{label_set}", summary="Read the state of a label set", response_model=OneSetAnswer
)
async def get_set(
    request: Request, response: Response, store: StoreDep, tagger: TaggerDep, label_set: SetName
) -> OneSetAnswer | Response:
    """Returns the revision and size of the set. Its labels are listed under `/labels`."""
    state = await to_thread.run_sync(store.state, label_set)
    if is_known(request, state.revision):
        return unchanged(state.revision)
    response.headers["ETag"] = etag(state.revision)
    return OneSetAnswer(
        label_set=SetAnswer.of(state),
        model=ModelAnswer.of(tagger),
    )


@router.put(
    "/label-sets/{label_set}",
    summary="Create, replace or copy a label set",
    response_model=WriteAnswer,
    responses=WRITE_RESPONSES,
    openapi_extra=body_schema(PutSet),
)
async def put_set(
    request: Request,
    settings: SettingsDep,
    store: StoreDep,
    tagger: TaggerDep,
    grant: GrantDep,
    label_set: SetName,
) -> Response:
    """Replaces the labels of the set by the given ones, or by those of another set.

    Requires `If-Match` with the ETag of the set to replace, or `If-None-Match: *` to create one.
    Long writes are answered as by `PUT /labels`: with line breaks first, or as a stream of events.
    """
    condition = require_condition(request)
    body = await json_body(request)
    content = await to_thread.run_sync(_read, body)
    if content.copy_of is not None:
        grant.check_label_set(content.copy_of)

    def write(*, report: Report, stop: Stop) -> WriteAnswer:
        advice: list[Warned] = []
        if content.copy_of is not None:
            written = store.copy_set(content.copy_of, label_set, condition=condition)
        else:
            replace = partial(
                store.replace,
                label_set,
                content.labels,
                condition=condition,
                report=report,
                stop=stop,
            )
            written = put_or_point(replace, content.labels)
            advice = advise(store, label_set, content.labels, written, tagger.text)
        warnings = [*advice, *advise_on_size(written.state, settings.many_labels)]
        return write_answer(written, tagger, warnings)

    return answer_long_write(request, write)


@dataclass(frozen=True, slots=True)
class _Content:
    """New contents of a set: `labels`, or those of the set `copy_of`."""

    labels: list[NewLabel]
    copy_of: str | None


def _read(body: bytes) -> _Content:
    content = read_body(PutSet, body)
    return _Content(new_labels(content.labels or []), content.copy_of)


@router.delete("/label-sets/{label_set}", summary="Delete a label set")
async def delete_set(
    request: Request, response: Response, store: StoreDep, tagger: TaggerDep, label_set: SetName
) -> WriteAnswer:
    """Deletes the set and its labels. The set `default` can be emptied, not deleted."""
    delete = partial(store.delete_set, label_set, condition=read_condition(request))
    return answer_write(response, await to_thread.run_sync(delete), tagger)
