"""`POST /v1/embeddings`: embeddings of texts and videos for programs that know OpenAI's API."""

import numpy as np
import numpy.typing as npt
from anyio import to_thread
from fastapi import APIRouter, Depends, Request

from app.errors import InvalidParameter
from app.labels.fields import body_schema, read_body
from app.requests import cancel_on_disconnect
from app.routes.addressing import known_parameters
from app.routes.dependencies import RequestState, StateDep
from app.routes.labels.writing import json_body
from app.routes.schemas.openai import EmbeddingsAnswer, EmbeddingsRequest
from app.upload.data_urls import decode_videos, is_data_url
from model import VideoError

router = APIRouter(tags=["videos"], dependencies=[Depends(known_parameters)])

MAX_VIDEOS = 10
# the name of whichever checkpoint runs
_ANY_MODEL = "kinolex"


@router.post(
    "/v1/embeddings",
    name="create_embeddings",
    summary="Embed texts and videos, in OpenAI's shape",
    openapi_extra=body_schema(EmbeddingsRequest),
)
async def create_embeddings(request: Request, state: StateDep) -> EmbeddingsAnswer:
    """Returns the unit vectors of `POST /embed` to clients of OpenAI's API.

    An input is a text, or a video as a `data:` URL with base64. Failures are problem documents.
    """
    # before the body is read
    state["admission"].check()
    body = await json_body(request)
    asked = await to_thread.run_sync(read_body, EmbeddingsRequest, body)
    _check(asked, state)
    async with cancel_on_disconnect(request):
        vectors = await _embed(asked.input, state)
    return EmbeddingsAnswer.of(vectors, state["tagger"].model_id, asked.encoding_format)


def _check(asked: EmbeddingsRequest, state: RequestState) -> None:
    tagger, max_inputs = state["tagger"], state["settings"].max_ad_hoc_labels
    if asked.model not in (_ANY_MODEL, tagger.model_id):
        detail = f"is not running; give {_ANY_MODEL} or {tagger.model_id}"
        raise InvalidParameter.at("body", "model", detail)
    if asked.dimensions not in (None, tagger.encoder.dim):
        detail = f"the checkpoint has {tagger.encoder.dim} dimensions"
        raise InvalidParameter.at("body", "dimensions", detail)
    if len(asked.input) > max_inputs:
        raise InvalidParameter.at("body", "input", f"may have at most {max_inputs} items")
    if sum(map(is_data_url, asked.input)) > MAX_VIDEOS:
        raise InvalidParameter.at("body", "input", f"may have at most {MAX_VIDEOS} videos")


async def _embed(inputs: list[str], state: RequestState) -> npt.NDArray[np.float32]:
    """Return (N, dim) float32 unit vectors, in the order of the inputs."""
    videos = [position for position, each in enumerate(inputs) if is_data_url(each)]
    texts = [position for position in range(len(inputs)) if position not in videos]
    vectors = np.empty((len(inputs), state["tagger"].encoder.dim), np.float32)
    if texts:
        vectors[texts] = await state["service"].embed_texts([inputs[each] for each in texts])
    if videos:
        vectors[videos] = await _embed_videos({f"input/{n}": inputs[n] for n in videos}, state)
    return vectors


async def _embed_videos(urls: dict[str, str], state: RequestState) -> npt.NDArray[np.float32]:
    """Embed the videos one after the other; a VideoError names the one that it is about."""
    await state["access"].quotas.require_video(state["grant"].pools)
    rows = []
    async with decode_videos(urls, state["settings"], state["admission"]) as files:
        for name, file in zip(urls, files, strict=True):
            try:
                embedded = await state["service"].embed_video(file)
            except VideoError as error:
                raise type(error)(f"{name}: {error}") from error
            rows.append(embedded.embedding)
    return np.stack(rows)
