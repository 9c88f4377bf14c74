"""Labels: `/labels` for the set `default`, `/label-sets/{label_set}/labels` for every set."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.dependencies import StoreDep, TaggerDep
from app.errors import UnsupportedMediaType
from app.etags import etag, is_known, read_condition, unchanged
from app.label_advice import advise
from app.label_fields import MOST_LABELS_AT_ONCE, PutLabels, body_schema, new_labels, read_body
from app.label_files import MEDIA_TYPES, FileFormat, read_labels, write_labels
from app.label_schemas import LabelAnswer, LabelItem, LabelsAnswer, SetAnswer, Warned, WriteAnswer
from app.routes import label_sets
from app.routes.addressing import (
    LabelName,
    PageSize,
    PageToken,
    SetName,
    read_token,
    write_token,
)
from app.routes.writing import answer_write, content_type
from app.schemas import ModelAnswer
from app.store import DEFAULT_SET, Condition, LabelStore, NewLabel, Written
from model import TextEncoder


async def _named_set(label_set: SetName) -> None:
    """Checks the name of the set in an address that has one, and puts it into OpenAPI."""


async def _asked_set(request: Request) -> str:
    name: str = request.path_params.get("label_set", DEFAULT_SET)
    return name


AskedSet = Annotated[str, Depends(_asked_set)]

TextQuery = Annotated[
    str,
    Query(max_length=200, description="Text that the name, an alias or the description has."),
]
Format = Annotated[
    Literal["json", "ndjson", "csv"],
    Query(alias="format", description="`ndjson` and `csv` can be sent back by `PUT`."),
]
_FORMATS: tuple[FileFormat, ...] = ("ndjson", "csv")


def _put_body() -> dict[str, Any]:
    described = body_schema(PutLabels)
    lines = {"schema": {"type": "string"}}
    described["requestBody"]["content"] |= {MEDIA_TYPES[each]: lines for each in _FORMATS}
    return described


_labels = APIRouter(tags=["labels"])


@_labels.put("/labels", summary="Add or replace labels", openapi_extra=_put_body())
async def put_labels(
    request: Request, response: Response, store: StoreDep, tagger: TaggerDep, label_set: AskedSet
) -> WriteAnswer:
    """Adds labels, or replaces those of the same name: all of them, or none.

    When this answers, the next request of any worker finds them. With `If-Match` it happens only
    while the set is at that revision; with `If-None-Match: *` only if there is no such set.
    Instead of JSON, labels may come as JSON lines or CSV, as `GET` gives them with `format`.
    """
    condition = read_condition(request)
    read = _reader_of(content_type(request))
    body = await request.body()
    put = partial(_put, store, label_set, read, body, condition, tagger.text)
    written, warnings = await to_thread.run_sync(put)
    return answer_write(response, written, tagger, warnings)


def _reader_of(media_type: str) -> Callable[[bytes], list[NewLabel]]:
    """Raises UnsupportedMediaType; plain text is out: any foreign web page could send it."""
    if media_type == "application/json":
        return lambda body: new_labels(read_body(PutLabels, body).labels)
    for file_format in _FORMATS:
        if media_type == MEDIA_TYPES[file_format]:
            return partial(_from_lines, file_format)
    allowed = ", ".join(["application/json", *(MEDIA_TYPES[each] for each in _FORMATS)])
    raise UnsupportedMediaType(f"send labels as one of {allowed}")


def _from_lines(file_format: FileFormat, body: bytes) -> list[NewLabel]:
    lines = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
    return new_labels(read_labels(lines, file_format, most=MOST_LABELS_AT_ONCE))


def _put(
    store: LabelStore,
    label_set: str,
    read: Callable[[bytes], list[NewLabel]],
    body: bytes,
    condition: Condition,
    text: TextEncoder,
) -> tuple[Written, list[Warned]]:
    labels = read(body)
    written = store.upsert(label_set, labels, condition=condition)
    return written, advise(store, label_set, labels, written, text)


@_labels.get("/labels", summary="List labels", response_model=LabelsAnswer)
async def list_labels(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AskedSet,
    page_size: PageSize = 100,
    page_token: PageToken = "",
    q: TextQuery = "",
    file_format: Format = "json",
) -> LabelsAnswer | Response:
    """The set's labels by name, page by page; as `ndjson` or `csv` all of them at once."""
    if file_format != "json":
        return await _export(store, label_set, file_format)
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


async def _export(store: LabelStore, label_set: str, file_format: FileFormat) -> Response:
    state = await to_thread.run_sync(store.state, label_set)
    labels = (stored.new for stored in store.export(label_set))
    return StreamingResponse(
        _in_blocks(write_labels(labels, file_format)),
        media_type=f"{MEDIA_TYPES[file_format]}; charset=utf-8",
        headers={
            "ETag": etag(state.revision),
            "Content-Disposition": f'attachment; filename="{label_set}.{file_format}"',
        },
    )


def _in_blocks(pieces: Iterator[str]) -> Iterator[str]:
    # each block is a trip to a worker thread
    while block := "".join(islice(pieces, 1_000)):
        yield block


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
