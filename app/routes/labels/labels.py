"""Routes for labels: `/labels` of the set `default`, `/label-sets/{label_set}/labels` of any."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from app.errors import UnsupportedMediaType
from app.http.etags import etag, is_known, read_condition, unchanged
from app.labels.advice import advise, advise_on_size, put_or_point
from app.labels.encodings import plain_utf8
from app.labels.fields import MAX_LABELS_PER_REQUEST, PutLabels, body_schema, new_labels, read_body
from app.labels.files import read_labels
from app.labels.formats import MEDIA_TYPES, FileFormat
from app.requests import JSON_TYPE, media_type
from app.routes.addressing import (
    AddressedSet,
    LabelName,
    PageSize,
    PageToken,
    TextQuery,
    known_parameters,
    named_set,
    read_token,
    write_token,
)
from app.routes.dependencies import SettingsDep, StoreDep, TaggerDep
from app.routes.labels import examples, label_sets
from app.routes.labels.exports import export_set
from app.routes.labels.writing import WRITE_RESPONSES, answer_long_write, answer_write, write_answer
from app.routes.schemas.labels import LabelAnswer, LabelItem, LabelsAnswer, SetAnswer, WriteAnswer
from app.routes.schemas.system import ModelAnswer
from app.settings import Settings
from app.store import Condition, LabelStore, NewLabel, Report, Stop
from app.upload.buffer import SealedFile
from app.upload.intake import receive_text
from model import Tagger

Format = Annotated[
    Literal["json", "ndjson", "csv"],
    Query(
        alias="format",
        description="`ndjson` (JSON lines) and `csv` return all labels, in a form for `PUT`.",
    ),
]
LINE_TYPES: dict[str, FileFormat] = {MEDIA_TYPES[each]: each for each in ("ndjson", "csv")}
_LINES: dict[str, Any] = {"schema": {"type": "string"}}


def _put_body() -> dict[str, Any]:
    described = body_schema(PutLabels)
    described["requestBody"]["content"] |= dict.fromkeys(LINE_TYPES, _LINES)
    return described


_labels = APIRouter(tags=["labels"])


@_labels.put(
    "/labels",
    summary="Add or replace labels",
    response_model=WriteAnswer,
    responses=WRITE_RESPONSES,
    openapi_extra=_put_body(),
)
async def put_labels(
    request: Request,
    settings: SettingsDep,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AddressedSet,
) -> Response:
    """Adds labels and replaces those with the same name: all of them, or none on an error.

    Every request that is sent after the answer finds them. `If-Match` writes only if the set is at
    that revision, `If-None-Match: *` only if the set does not exist. The body may also be JSON
    lines or CSV, as `GET` returns them with `format`. With `Accept: text/event-stream` the answer
    is a stream of Server-Sent Events: `progress` every second, then `result` with the JSON of the
    plain answer, or `problem`. The plain answer to a write that embeds over 1,000 labels begins
    with line breaks. When the client disconnects, nothing is stored.
    """
    condition = read_condition(request)
    labels = await _read_labels(request, settings)
    write = partial(write_labels, label_set, labels, condition, settings, store, tagger)
    return answer_long_write(request, write)


def write_labels(
    label_set: str,
    labels: Sequence[NewLabel],
    condition: Condition,
    settings: Settings,
    store: LabelStore,
    tagger: Tagger,
    *,
    report: Report,
    stop: Stop,
) -> WriteAnswer:
    """Store labels, and return the answer with what is advised about them. Blocks."""
    put = partial(store.upsert, label_set, labels, condition=condition, report=report, stop=stop)
    written = put_or_point(put, labels)
    advice = advise(store, label_set, labels, written, tagger.text)
    warnings = [*advice, *advise_on_size(written.state, settings.many_labels)]
    return write_answer(written, tagger, warnings)


async def _read_labels(request: Request, settings: Settings) -> list[NewLabel]:
    """Parse the body as JSON, JSON lines or CSV.

    Raises MalformedRequest, InvalidParameter, and UnsupportedMediaType, also for plain text: a web
    page of another origin could send that.
    """
    sent_as = media_type(request)
    if sent_as == JSON_TYPE:
        body = await request.body()
        return await to_thread.run_sync(lambda: new_labels(read_body(PutLabels, body).labels))
    if sent_as not in LINE_TYPES:
        allowed = ", ".join([JSON_TYPE, *LINE_TYPES])
        raise UnsupportedMediaType(f"send labels as one of: {allowed}")
    async with receive_text(request, settings) as text:
        return await to_thread.run_sync(_from_lines, text, LINE_TYPES[sent_as])


def _from_lines(text: SealedFile, file_format: FileFormat) -> list[NewLabel]:
    plain_utf8(os.pread(text.fd, 4, 0), MEDIA_TYPES[file_format])
    with open(text.fd, encoding="utf-8-sig", newline="", closefd=False) as lines:
        return new_labels(read_labels(lines, file_format, max_labels=MAX_LABELS_PER_REQUEST))


@_labels.get(
    "/labels",
    summary="List labels",
    response_model=LabelsAnswer,
    responses={200: {"content": dict.fromkeys(LINE_TYPES, _LINES)}},
)
async def list_labels(
    request: Request,
    response: Response,
    settings: SettingsDep,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AddressedSet,
    page_size: PageSize = 100,
    page_token: PageToken = "",
    q: TextQuery = "",
    file_format: Format = "json",
) -> LabelsAnswer | Response:
    """Returns a page of the set's labels, sorted by name; as `ndjson` or `csv` all labels."""
    if file_format != "json":
        return await export_set(request, settings, store, label_set, file_format)
    answer = await page_of_labels(store, tagger, label_set, page_size, page_token, q)
    revision = answer.label_set.revision
    if is_known(request, revision):
        return unchanged(revision)
    response.headers["ETag"] = etag(revision)
    return answer


async def page_of_labels(
    store: LabelStore, tagger: Tagger, label_set: str, page_size: int, page_token: str, q: str
) -> LabelsAnswer:
    """Return a page of the labels of a set that contain the text `q`."""
    read = partial(store.page, label_set, after=read_token(page_token, q), limit=page_size, query=q)
    page = await to_thread.run_sync(read)
    return LabelsAnswer(
        items=[LabelItem.of(stored) for stored in page.labels],
        next_page_token=write_token(page.last_key, q),
        label_set=SetAnswer.of(page.state),
        model=ModelAnswer.of(tagger),
    )


@_labels.get("/labels/{name:path}", summary="Read a label", response_model=LabelAnswer)
async def get_label(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AddressedSet,
    name: LabelName,
) -> LabelAnswer | Response:
    """Returns a label, by any spelling of its name."""
    state, stored = await to_thread.run_sync(store.get, label_set, name)
    if is_known(request, state.revision):
        return unchanged(state.revision)
    response.headers["ETag"] = etag(state.revision)
    return LabelAnswer.of(
        stored,
        label_set=SetAnswer.of(state),
        model=ModelAnswer.of(tagger),
    )


@_labels.delete("/labels/{name:path}", summary="Remove a label")
async def delete_label(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AddressedSet,
    name: LabelName,
) -> WriteAnswer:
    """Removes a label. No request that is sent after the answer finds it."""
    remove = partial(store.remove, label_set, name, condition=read_condition(request))
    return answer_write(response, await to_thread.run_sync(remove), tagger)


router = APIRouter(dependencies=[Depends(known_parameters)])
router.include_router(label_sets.router)
for _router in (examples.router, _labels):
    router.include_router(_router)
    router.include_router(
        _router, prefix="/label-sets/{label_set}", dependencies=[Depends(named_set)]
    )
