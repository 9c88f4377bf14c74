"""The tools: arguments, scopes and answers are those of the routes that do the same."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field

from app.errors import InvalidParameter
from app.http.stoppable import run_stoppable
from app.labels.fields import PutLabels, new_labels, read_body
from app.observe.timings import stage_seconds
from app.routes.addressing import MAX_ITEMS
from app.routes.dependencies import RequestState
from app.routes.labels.labels import page_of_labels, write_labels
from app.routes.permissions import check_question
from app.routes.schemas.archive import SearchAnswer
from app.routes.schemas.jobs import JobAnswer
from app.routes.schemas.labels import LabelsAnswer, WriteAnswer
from app.routes.schemas.options import QuestionOptions, read_classify_request
from app.routes.schemas.video_filter import MAX_SPANS
from app.routes.schemas.videos import ClassifyAnswer
from app.routes.search import find_words
from app.routes.videos import ask_kept_video
from app.store import ALWAYS, DEFAULT_SET, SET_NAME
from app.store.analyses import VideoFilter
from app.upload.data_urls import decode_videos, is_data_url


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ClassifyArguments(_Arguments):
    """A video, and what is asked about it."""

    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of a video that is kept; `search` finds such videos.",
    )
    video: str | None = Field(
        None, description="A short video in base64, or as `data:video/mp4;base64,...`."
    )
    labels: list[str] = Field(
        default_factory=list,
        description="Actions to look for, in words, such as `riding a horse`. Without them the "
        "stored labels are looked for.",
    )
    label_set: str | None = Field(None, max_length=200, description="Stored label set to look for.")
    granularity: Literal["video", "segments"] = Field(
        "video", description="`segments` also tells when each action happens."
    )
    top_k: int = Field(5, ge=1, le=100, description="Maximum number of tags.")
    min_score: float = Field(0.0, ge=0.0, le=1.0, description="Minimum score of a tag.")

    @property
    def question(self) -> dict[str, Any]:
        """The options of `POST /classify`, with the defaults of this tool."""
        left_out = {"sha256", "video"} if self.labels else {"sha256", "video", "labels"}
        return self.model_dump(exclude=left_out, exclude_none=True)


class SearchArguments(_Arguments):
    """What to find in the kept videos."""

    q: str = Field(min_length=1, max_length=1000, description="What to find, in words.")
    min_score: float = Field(0.0, ge=0.0, le=1.0, description="Minimum score of a span.")
    page_size: int = Field(10, ge=1, le=MAX_SPANS, description="Maximum number of spans.")
    page_token: str = Field(
        "", max_length=8_000, description="`next_page_token` of the previous page."
    )


_LABEL_SET = Field(
    DEFAULT_SET, pattern=f"^{SET_NAME.pattern}$", description="Name of the label set."
)


class LabelsArguments(_Arguments):
    """Which labels to list."""

    label_set: str = _LABEL_SET
    q: str = Field("", max_length=200, description="Only labels that contain this text.")
    page_size: int = Field(100, ge=1, le=MAX_ITEMS, description="Maximum number of labels.")
    page_token: str = Field(
        "", max_length=8_000, description="`next_page_token` of the previous page."
    )


class PutLabelsArguments(PutLabels):
    """Labels to add or replace."""

    label_set: str = _LABEL_SET


class JobArguments(_Arguments):
    """Which job to read."""

    id: str = Field(pattern="^[0-9a-f]{32}$", description="Id of the job.")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: `call` gets the state of the request and `arguments`, and returns an `answer`.

    A tool that is not `is_read_only` replaces stored values; twice the same call does the same.
    """

    name: str
    title: str
    arguments: type[BaseModel]
    answer: type[BaseModel]
    call: Callable[[RequestState, Any], Awaitable[BaseModel]]
    is_read_only: bool = True

    @property
    def description(self) -> str:
        """What the tool does, for the model that chooses one."""
        return (self.call.__doc__ or "").strip()

    async def run(self, state: RequestState, arguments: dict[str, Any]) -> BaseModel:
        """Call the tool. Raises a KinolexError, such as InvalidParameter."""
        return await self.call(state, read_body(self.arguments, json.dumps(arguments).encode()))


async def classify(state: RequestState, asked: ClassifyArguments) -> ClassifyAnswer:
    """Say which actions a video shows, with scores from 0 to 1, and when with segments."""
    if (asked.sha256 is None) == (asked.video is None):
        raise InvalidParameter.at("body", "video", "give either sha256 or video")
    if asked.sha256 is not None:
        state["grant"].check_scope("archive")
        options = QuestionOptions.model_validate(asked.question)
        return await ask_kept_video(state, asked.sha256, options)
    state["grant"].check_scope("classify")
    return await _classify_video(state, asked, asked.video or "")


async def _classify_video(
    state: RequestState, asked: ClassifyArguments, video: str
) -> ClassifyAnswer:
    pairs = [
        (name, json.dumps(value) if isinstance(value, list) else str(value))
        for name, value in asked.question.items()
    ]
    question = read_classify_request(pairs, (), state["settings"])
    check_question(question, state["grant"])
    state["admission"].check()
    await state["access"].quotas.require_video(state["grant"].pools)
    url = video if is_data_url(video) else f"data:video/mp4;base64,{video}"
    async with decode_videos({"video": url}, state["settings"], state["admission"]) as [file]:
        classified = await state["service"].classify(file, question)
    return ClassifyAnswer.of(
        classified,
        sha256=file.sha256,
        kept=False,
        tagger=state["tagger"],
        request_id=state["request_id"],
        timings=stage_seconds(),
    )


async def search(state: RequestState, asked: SearchArguments) -> SearchAnswer:
    """Find the moments of all kept videos that show what the words say, best first."""
    state["grant"].check_scope("archive")
    return await find_words(
        state, asked.q, VideoFilter(), asked.min_score, asked.page_size, asked.page_token
    )


async def list_labels(state: RequestState, asked: LabelsArguments) -> LabelsAnswer:
    """List the labels of a set: the actions that videos are searched for by default."""
    state["grant"].check_scope("labels:read")
    state["grant"].check_label_set(asked.label_set)
    return await page_of_labels(
        state["store"],
        state["tagger"],
        asked.label_set,
        asked.page_size,
        asked.page_token,
        asked.q,
    )


async def put_labels(state: RequestState, asked: PutLabelsArguments) -> WriteAnswer:
    """Add labels to a set, and replace those of the same name; the next call finds them."""
    state["grant"].check_scope("labels:write")
    state["grant"].check_label_set(asked.label_set)
    labels = await to_thread.run_sync(new_labels, asked.labels)
    write = partial(
        write_labels,
        asked.label_set,
        labels,
        ALWAYS,
        state["settings"],
        state["store"],
        state["tagger"],
        report=lambda done, total: None,
    )
    return await run_stoppable(lambda stop: write(stop=stop))


async def job(state: RequestState, asked: JobArguments) -> JobAnswer:
    """Say how far a job is; its result once it has succeeded."""
    state["grant"].check_scope("classify")
    return JobAnswer.of(await to_thread.run_sync(state["jobs"].get, asked.id))


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("classify", "Tag a video", ClassifyArguments, ClassifyAnswer, classify),
        Tool("search", "Search kept videos", SearchArguments, SearchAnswer, search),
        Tool("labels", "List labels", LabelsArguments, LabelsAnswer, list_labels),
        Tool(
            "put_labels",
            "Add or replace labels",
            PutLabelsArguments,
            WriteAnswer,
            put_labels,
            is_read_only=False,
        ),
        Tool("job", "Read a job", JobArguments, JobAnswer, job),
    )
}
