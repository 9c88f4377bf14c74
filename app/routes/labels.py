"""Labels: `/labels` for the set `default`, `/label-sets/{label_set}/labels` for every set."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from app.dependencies import StoreDep, TaggerDep
from app.etags import etag, is_known, read_condition, unchanged
from app.label_schemas import (
    LabelAnswer,
    LabelItem,
    LabelsAnswer,
    PutLabels,
    SetAnswer,
    WriteAnswer,
    body_schema,
    new_labels,
    read_body,
)
from app.routes import label_sets
from app.routes.addressing import (
    LabelName,
    PageSize,
    PageToken,
    SetName,
    read_token,
    write_token,
)
from app.routes.writing import answer_write, json_body
from app.schemas import ModelAnswer
from app.store import DEFAULT_SET, Condition, LabelStore, Written

TextQuery = Annotated[
    str,
    Query(max_length=200, description="Text that the name, an alias or the description has."),
]


async def _named_set(label_set: SetName) -> None:
    """Checks the name of the set in an address that has one, and puts it into OpenAPI."""


async def _asked_set(request: Request) -> str:
    name: str = request.path_params.get("label_set", DEFAULT_SET)
    return name


AskedSet = Annotated[str, Depends(_asked_set)]

_labels = APIRouter(tags=["labels"])


@_labels.put("/labels", summary="Add or replace labels", openapi_extra=body_schema(PutLabels))
async def put_labels(
    request: Request, response: Response, store: StoreDep, tagger: TaggerDep, label_set: AskedSet
) -> WriteAnswer:
    """Adds labels, or replaces those of the same name: all of them, or none.

    When this answers, the next request of any worker finds them. With `If-Match` it happens only
    while the set is at that revision; with `If-None-Match: *` only if there is no such set.
    """
    condition = read_condition(request)
    body = await json_body(request)
    written = await to_thread.run_sync(_put, store, label_set, body, condition)
    return answer_write(response, written, tagger)


def _put(store: LabelStore, label_set: str, body: bytes, condition: Condition) -> Written:
    labels = new_labels(read_body(PutLabels, body).labels)
    return store.upsert(label_set, labels, condition=condition)


@_labels.get("/labels", summary="List labels", response_model=LabelsAnswer)
async def list_labels(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AskedSet,
    page_size: PageSize = 100,
    page_token: PageToken = "",
    q: Annotated[
        str,
        Query(max_length=200, description="Text that the name, an alias or the description has."),
    ] = "",
) -> LabelsAnswer | Response:
    """The set's labels by name, page by page."""
    read = partial(store.page, label_set, after=read_token(page_token, q), limit=page_size, query=q)
    page = await to_thread.run_sync(read)
    if is_known(request, page.state.revision):
        return unchanged(page.state.revision)
    response.headers["ETag"] = etag(page.state.revision)
    return LabelsAnswer(
        items=[LabelItem.of(stored) for stored in page.labels],
        next_page_token=write_token(page.last_key, q),
        label_set=SetAnswer.of(page.state),
        model=ModelAnswer(id=tagger.model_id, revision=tagger.revision),
    )


@_labels.get("/labels/{name:path}", summary="Read a label", response_model=LabelAnswer)
async def get_label(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AskedSet,
    name: LabelName,
) -> LabelAnswer | Response:
    """One label, by any spelling of its name."""
    state, stored = await to_thread.run_sync(store.get, label_set, name)
    if is_known(request, state.revision):
        return unchanged(state.revision)
    response.headers["ETag"] = etag(state.revision)
    return LabelAnswer.of(
        stored,
        label_set=SetAnswer.of(state),
        model=ModelAnswer(id=tagger.model_id, revision=tagger.revision),
    )


@_labels.delete("/labels/{name:path}", summary="Remove a label")
async def delete_label(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AskedSet,
    name: LabelName,
) -> WriteAnswer:
    """Removes a label; the next request of any worker does not find it."""
    remove = partial(store.remove, label_set, name, condition=read_condition(request))
    return answer_write(response, await to_thread.run_sync(remove), tagger)


router = APIRouter()
router.include_router(label_sets.router)
router.include_router(_labels)
router.include_router(_labels, prefix="/label-sets/{label_set}", dependencies=[Depends(_named_set)])
