"""Teaching by example: videos that show a label, under the label's address."""

from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Request, Response

from app.errors import InvalidParameter
from app.http.etags import etag, read_condition
from app.labels.advice import Warned
from app.requests import cancel_on_disconnect
from app.routes.addressing import AskedSet, LabelName
from app.routes.dependencies import RequestState, StateDep, StoreDep, TaggerDep
from app.routes.schemas.labels import ExamplesAnswer, TaughtAnswer
from app.routes.schemas.videos import ModelAnswer
from app.store import Example, StoredExample
from app.upload.intake import Uploads, receive_videos
from model import Tagger, VideoError

router = APIRouter(tags=["examples"])

MAX_VIDEOS = 10

EXAMPLES = "/examples"
_ADDRESS = f"/labels/{{name:path}}{EXAMPLES}"

Digest = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the video's bytes, in hex.")
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
                "description": "A short video; repeat the part for more.",
            }
        },
        "required": ["file"],
        "additionalProperties": False,
    }
    content = {"multipart/form-data": {"schema": form}, "video/*": {"schema": video}}
    return {"requestBody": {"required": True, "content": content}}


@router.post(_ADDRESS, summary="Teach a label by example", openapi_extra=_request_schema())
async def add_examples(
    request: Request,
    response: Response,
    state: StateDep,
    label_set: AskedSet,
    name: LabelName,
) -> TaughtAnswer:
    """Blends one to ten short videos that show the label into what it is searched by.

    Only their embeddings are kept. More examples weigh more; the answer says how much. A video
    that the label has already changes nothing. When this answers, the next request of any worker
    is answered with it.
    """
    condition = read_condition(request)
    store, tagger = state["store"], state["tagger"]
    # a label that is not there is told before the videos are sent
    _, stored = await to_thread.run_sync(store.examples, label_set, name)
    async with receive_videos(
        request, state["settings"], state["admission"], max_videos=MAX_VIDEOS
    ) as uploads:
        if uploads.fields:
            raise InvalidParameter.at("form", uploads.fields[0][0], "there is no such option")
        async with cancel_on_disconnect(request):
            examples, warnings = await _embed(uploads, state)
    teach = partial(store.teach, label_set, name, examples, condition=condition)
    taught = await to_thread.run_sync(teach)
    response.headers["ETag"] = etag(taught.state.revision)
    return TaughtAnswer.of(taught, _model(tagger), [*warnings, *_unused(stored, tagger)])


async def _embed(uploads: Uploads, state: RequestState) -> tuple[list[Example], list[Warned]]:
    """Raises what the service raises; of several videos, the message says which."""
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


@router.get(_ADDRESS, summary="List a label's examples")
async def list_examples(
    response: Response, store: StoreDep, tagger: TaggerDep, label_set: AskedSet, name: LabelName
) -> ExamplesAnswer:
    """What a label was taught by. Those of another checkpoint are kept, and not used."""
    state, stored = await to_thread.run_sync(store.examples, label_set, name)
    response.headers["ETag"] = etag(state.revision)
    return ExamplesAnswer.of(state, stored, tagger.video_space, _model(tagger))


@router.delete(_ADDRESS, summary="Remove all examples of a label")
async def delete_examples(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AskedSet,
    name: LabelName,
) -> TaughtAnswer:
    """Leaves the label with its words alone."""
    forget = partial(store.forget, label_set, name, condition=read_condition(request))
    taught = await to_thread.run_sync(forget)
    response.headers["ETag"] = etag(taught.state.revision)
    return TaughtAnswer.of(taught, _model(tagger))


@router.delete(f"{_ADDRESS}/{{sha256}}", summary="Remove an example of a label")
async def delete_example(
    request: Request,
    response: Response,
    store: StoreDep,
    tagger: TaggerDep,
    label_set: AskedSet,
    name: LabelName,
    sha256: Digest,
) -> TaughtAnswer:
    """Removes one video's embedding from the label."""
    forget = partial(store.forget, label_set, name, sha256, condition=read_condition(request))
    taught = await to_thread.run_sync(forget)
    response.headers["ETag"] = etag(taught.state.revision)
    return TaughtAnswer.of(taught, _model(tagger))


def _model(tagger: Tagger) -> ModelAnswer:
    return ModelAnswer(id=tagger.model_id, revision=tagger.revision)


def _unused(stored: list[StoredExample], tagger: Tagger) -> list[Warned]:
    foreign = sum(each.video_space != tagger.video_space for each in stored)
    if not foreign:
        return []
    detail = f"{foreign} examples were embedded by another checkpoint and are not used"
    return [Warned(pointer="#", code="other_checkpoint", detail=detail)]
