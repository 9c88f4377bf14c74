"""Answers about videos as subtitles, for players and media servers: WebVTT and SubRip."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.routes.schemas.videos import ClassifyAnswer, TagAnswer

_TEXT: dict[str, Any] = {"schema": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class _Cue:
    start: float
    end: float
    text: str


def web_vtt(answer: ClassifyAnswer) -> str:
    """Return WebVTT: a cue for each label of each segment, or of the whole video without them."""
    cues = [
        f"{_stamp(cue.start, '.')} --> {_stamp(cue.end, '.')}\n{_escaped(cue.text)}\n"
        for cue in _cues(answer)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def sub_rip(answer: ClassifyAnswer) -> str:
    """Return SubRip (.srt) with the cues of `web_vtt`."""
    return "\n".join(
        f"{number}\n{_stamp(cue.start, ',')} --> {_stamp(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(_cues(answer), start=1)
    )


_FORMATS: dict[str, Callable[[ClassifyAnswer], str]] = {
    "text/vtt": web_vtt,
    "application/x-subrip": sub_rip,
}
# OpenAPI description of these answers.
SUBTITLE_CONTENT = dict.fromkeys(_FORMATS, _TEXT)


def subtitles(media_type: str, answer: ClassifyAnswer) -> str | None:
    """Return the answer as subtitles of the type; None if there is no such type."""
    write = _FORMATS.get(media_type)
    return None if write is None else write(answer)


def as_accepted(request: Request, answer: ClassifyAnswer) -> ClassifyAnswer | Response:
    """Return the answer in the format of subtitles that `Accept` names, or as it is."""
    accepted = request.headers.get("accept", "").lower()
    for media_type, write in _FORMATS.items():
        if media_type in accepted:
            return Response(write(answer), media_type=f"{media_type}; charset=utf-8")
    return answer


def _cues(answer: ClassifyAnswer) -> list[_Cue]:
    spans: list[tuple[float, float, TagAnswer]] = [
        (span.start, span.end, tag) for span in answer.segments for tag in span.tags
    ]
    if answer.windows is None:
        spans = [(0.0, answer.video.duration, tag) for tag in answer.tags]
    spans.sort(key=lambda span: (span[0], -span[2].score))
    return [_Cue(start, end, _text(tag.label, tag.score)) for start, end, tag in spans]


def _text(label: str, score: float) -> str:
    """Return a line that ends no cue: without line breaks and arrows."""
    return f"{' '.join(label.split()).replace('-->', '→')} ({round(100 * score)} %)"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _stamp(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
