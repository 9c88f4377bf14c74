"""Routes for the examples of a label: videos that show it."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Request, Response

from app.archive.span_examples import example_of
from app.errors import InvalidParameter
from app.http.etags import etag, read_condition
from app.labels.advice import Warned
from app.labels.fields import read_body
from app.requests import JSON_TYPE, cancel_on_disconnect, media_type
from app.routes.addressing import AddressedSet, LabelName
from app.routes.dependencies import RequestState, StateDep, StoreDep, TaggerDep
from app.routes.schemas.labels import ExamplesAnswer, SpanOfVideo, TaughtAnswer
from app.routes.schemas.system import ModelAnswer
from app.store import Example, StoredExample, Taught
from app.upload.intake import Uploads, receive_videos
from model import Tagger, VideoError

router = APIRouter(tags=["examples"])

MAX_VIDEOS = 10

EXAMPLES = "/examples"
_ADDRESS = f"/labels/{{name:path}}{EXAMPLES}"

Digest = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the video file in hex.")
]


def _request_schema() -> dict[str, Any]:
    video = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "properties": {
            "file": {
                "type": "array",
                "items": video,
                "minItems": 1,
                "maxItems": MAX_VIDEOS,
                "description": "A short video. Repeat the part for more.",
            }
        },
        "required": ["file"],
        "additionalProperties": False,
    }
    content = {
        "multipart/form-data": {"schema": form},
        "video/*": {"schema": video},
        JSON_TYPE: {"schema": SpanOfVideo.model_json_schema()},
    }
    return {"requestBody": {"required": True, "content": content}}


@router.post(_ADDRESS, summary="Add examples to a label", openapi_extra=_request_schema())
async def add_examples(
    request: Request,
    response: Response,
    state: StateDep,
    label_set: AddressedSet,
    name: LabelName,
) -> TaughtAnswer:
    """Blends the embeddings of one to ten short videos into the vector of a label.

    Send the videos, or as JSON a span of a kept video. Only the embeddings are stored. The weight
    of the examples grows with their number; the answer gives it. A video or span that the label
    already has changes nothing. Every request that is sent after the answer uses the new vector.
    """
    condition = read_condition(request)
    store, tagger = state["store"], state["tagger"]
    # a missing label is refused before the videos are received
    _, stored = await to_thread.run_sync(store.examples, label_set, name)
    if media_type(request) == JSON_TYPE:
        warnings: list[Warned] = []
        examples = [await _span(await request.body(), state)]
    else:
        examples, warnings = await _received(request, state)
    teach = partial(store.teach, label_set, name, examples, condition=condition)
    taught = await to_thread.run_sync(teach)
    return _answer(response, taught, tagger, [*warnings, *_unused(stored, tagger)])


async def _span(body: bytes, state: RequestState) -> Example:
    """Return the span of a kept video that a JSON body names, as an example.

    Raises ScopeMissing, VideoNotFound, AnalysisOutdated, and InvalidParameter.
    """
    state["grant"].check_scope("archive")
    span = read_body(SpanOfVideo, body)
    analysis = await state["videos"].analysis(span.video)
    try:
        return example_of(analysis, span.start, span.end)
    except ValueError as error:
        raise InvalidParameter.at("body", "end", str(error)) from error


async def _received(request: Request, state: RequestState) -> tuple[list[Example], list[Warned]]:
    """Receive videos and return them as examples, with warnings."""
    async with receive_videos(
        request, state["settings"], state["admission"], max_videos=MAX_VIDEOS
    ) as uploads:
        if uploads.fields:
            raise InvalidParameter.at("form", uploads.fields[0][0], "is not an option")
        async with cancel_on_disconnect(request):
            return await _embed(uploads, state)


async def _embed(uploads: Uploads, state: RequestState) -> tuple[list[Example], list[Warned]]:
    """Embed the videos as examples; return them with warnings.

    Raises the errors of `TaggingService.embed_video`. A VideoError names the number of the video if
    there are several.
    """
    examples: list[Example] = []
    warnings: list[Warned] = []
    for number, video in enumerate(uploads.videos):
        try:
            embedded = await state["service"].embed_video(video)
        except VideoError as error:
            if len(uploads.videos) == 1:
                raise
            raise type(error)(f"video {number + 1}: {error}") from error
        examples.append(Example(video.sha256, embedded.embedding))
        warnings += [
            Warned(pointer=f"#/file/{number}", code="odd_video", detail=detail)
            for detail in embedded.warnings
        ]
    return examples, warnings


@router.get(_ADDRESS, summary="List the examples of a label")
async def list_examples(
    response: Response, store: StoreDep, tagger: TaggerDep, label_set: AddressedSet, name: LabelName
) -> ExamplesAnswer:
    """Returns the examples of a label. Those of another checkpoint are stored but not used."""
    state, stored = await to_thread.run_sync(store.examples, label_set, name)
    response.headers["ETag"] = etag(state.revision)
    return ExamplesAnswer.of(state, stored, tagger.video_space, ModelAnswer.of(tagger))


@router.delete(_ADDRESS, summary="Remove all examples of a label")
async def delete_examples(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AddressedSet,
    name: LabelName,
) -> TaughtAnswer:
    """Removes all examples, so that the label is found by its words alone."""
    forget = partial(store.forget, label_set, name, condition=read_condition(request))
    return _answer(response, await to_thread.run_sync(forget), tagger)


@router.delete(f"{_ADDRESS}/{{sha256}}", summary="Remove an example of a label")
async def delete_example(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AddressedSet,
    name: LabelName,
    sha256: Digest,
) -> TaughtAnswer:
    """Removes one example from the label."""
    forget = partial(store.forget, label_set, name, sha256, condition=read_condition(request))
    return _answer(response, await to_thread.run_sync(forget), tagger)


def _answer(
    response: Response, taught: Taught, tagger: Tagger, warnings: Sequence[Warned] = ()
) -> TaughtAnswer:
    response.headers["ETag"] = etag(taught.state.revision)
    return TaughtAnswer.of(taught, ModelAnswer.of(tagger), warnings)


def _unused(stored: list[StoredExample], tagger: Tagger) -> list[Warned]:
    foreign = sum(each.video_space != tagger.video_space for each in stored)
    if not foreign:
        return []
    detail = f"{foreign} examples were embedded by another checkpoint and are not used"
    return [Warned(pointer="#", code="other_checkpoint", detail=detail)]
