"""Messages: each one survives the wire, and nothing else is accepted."""

import importlib
import json
import math
import pkgutil
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import app
from app.decode.protocol import (
    MAX_MESSAGE_BYTES,
    PROTOCOL_VERSION,
    Answer,
    Decode,
    Failure,
    FrameOptions,
    FramesLocated,
    FramesRendered,
    FramesWritten,
    Probe,
    Ready,
    Render,
    Request,
    Sample,
    StartDecoding,
    StartRendering,
    VideoFacts,
    cut_warnings,
    encode,
    parse_answer,
    parse_ready,
    parse_request,
    parse_start,
)
from app.decode.wire import ProtocolError
from model.errors import VideoError
from model.video.container import CODECS
from model.video.reader import VideoInfo, VideoLimits
from model.video.sampling import SamplingConfig

REQUESTS: list[type[Request]] = [Probe, Decode, Sample, Render]
INFO = VideoInfo(3.0, 25.0, 64, 48, 90, "h264", ("10 bits per colour are reduced to 8",))
WRITTEN = FramesWritten(INFO, 48, 64, ("2 damaged packets",))
LOCATED = FramesLocated(INFO, 0, -0.5, 48, 64)
DECODE = Decode(6, FrameOptions(160), in_kept_memory=True)
FRAME_ANSWERS: list[FramesWritten | FramesLocated] = [WRITTEN, LOCATED]
LOCATE = Decode(6, FrameOptions(160), locate=True)

texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)
warnings = st.lists(texts, max_size=16).map(tuple)
sides = st.integers(1, 2**31 - 1)
counts = st.integers(1, 1 << 20)
seconds = st.floats(0, 1e9, exclude_min=True, exclude_max=True)
infos = st.builds(
    VideoInfo,
    seconds,
    seconds,
    sides,
    sides,
    st.sampled_from([0, 90, 180, 270]),
    st.sampled_from([*CODECS, "webp"]),
    warnings,
)
codes = st.sampled_from([kind.code for kind in VideoError.__subclasses__()])
flags = st.booleans()
answers: st.SearchStrategy[Answer] = st.one_of(
    st.builds(VideoFacts, infos, flags),
    st.builds(FramesWritten, infos, sides, sides, warnings, flags),
    st.builds(
        FramesLocated, infos, st.integers(0, 65535), st.floats(-1e8, 1e8), sides, sides, flags
    ),
    st.builds(FramesRendered, flags),
    st.builds(Failure, codes, texts, flags),
)
options = st.builds(FrameOptions, sides, flags, st.integers(1, 256))
samplings = st.builds(
    SamplingConfig,
    st.integers(1, 1024),
    st.integers(1, 1024),
    st.sampled_from(["spread", "consecutive"]),
    st.floats(0, 0.49),
)
requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(Probe),
    st.builds(Decode, counts, options, flags, flags),
    st.builds(Sample, samplings, options, flags, flags),
    st.builds(Render, counts, st.integers(0, 65535), st.floats(-1e8, 1e8), sides, sides),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def request_for(answer: Answer) -> Request:
    if isinstance(answer, VideoFacts):
        return Probe()
    if isinstance(answer, FramesRendered):
        return Render(1, 0, 0.0, 48, 64)
    return LOCATE


@given(answers)
@settings(deadline=None)
def test_every_answer_arrives_as_it_was_sent(answer: Answer) -> None:
    data = encode(answer)
    assert parse_answer(data, request_for(answer)) == answer


@given(requests)
@settings(deadline=None)
def test_every_request_arrives_as_it_was_sent(request: Request) -> None:
    assert parse_request(encode(request), REQUESTS) == request


def test_the_first_messages_arrive_as_they_were_sent() -> None:
    decoding = StartDecoding(VideoLimits(max_duration_seconds=7), 1 << 30, 60)
    assert parse_start(encode(decoding), StartDecoding) == decoding
    rendering = StartRendering("cuda:1", 60)
    assert parse_start(encode(rendering), StartRendering) == rendering
    assert parse_ready(encode(Ready())) == Ready(PROTOCOL_VERSION)


def test_another_version_is_refused_on_both_sides() -> None:
    other = PROTOCOL_VERSION + 1
    with pytest.raises(ProtocolError, match="restart the service"):
        parse_ready(encode(Ready(other)))
    with pytest.raises(ProtocolError, match="restart the service"):
        parse_start(encode(StartRendering("cuda", 60, other)), StartRendering)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_answer(data, DECODE)
    with pytest.raises(ProtocolError):
        parse_request(data, REQUESTS)


@given(json_values, st.sampled_from([WRITTEN, LOCATED, VideoFacts(INFO), Failure("corrupt", "")]))
@settings(deadline=None)
def test_json_of_another_shape_is_refused(value: Any, valid: Answer) -> None:
    for message in (value, {"kind": valid.kind, "info": value}, {"kind": value}):
        with pytest.raises(ProtocolError):
            parse_answer(json.dumps(message).encode(), LOCATE)


@given(st.data())
@settings(deadline=None)
def test_one_changed_field_is_refused_or_read_back_exactly(data: st.DataObject) -> None:
    valid = data.draw(st.sampled_from(FRAME_ANSWERS))
    message = json.loads(encode(valid))
    of_info = data.draw(st.booleans())
    target = message["info"] if of_info else message
    name = data.draw(st.sampled_from(sorted(target)))
    target[name] = data.draw(json_values)
    try:
        answer = parse_answer(json.dumps(message).encode(), LOCATE)
    except ProtocolError:
        return
    read = getattr(answer.info if of_info and not isinstance(answer, Failure) else answer, name)  # type: ignore[union-attr]  # only answers with facts have `of_info`
    assert read == (tuple(target[name]) if isinstance(target[name], list) else target[name])
    assert type(read) in (bool, int, float, str, tuple)


@pytest.mark.parametrize("name", [field.name for field in fields(FramesWritten)])
def test_a_missing_field_is_refused(name: str) -> None:
    message = json.loads(encode(WRITTEN))
    del message[name]
    with pytest.raises(ProtocolError):
        parse_answer(json.dumps(message).encode(), DECODE)


NONSENSE: list[dict[str, Any]] = [
    {"height": math.inf},
    {"height": 0},
    {"height": True},
    {"height": 48.0},
    {"width": "wide"},
    {"width": -1},
    {"width": 1 << 31},
    {"width": 10**4000},
    {"warnings": ["\ud800"]},
    {"warnings": 1},
    {"warnings": {}},
    {"warnings": ["x" * 501]},
    {"warnings": ["two\nlines"]},
    {"warnings": ["\x1b[2J"]},
    {"warnings": ["x"] * 17},
    {"worn_out": 0},
    {"worn_out": None},
    {"info": None},
    {"more": 1},
]
NONSENSE_ABOUT_THE_VIDEO: list[dict[str, Any]] = [
    {"duration_seconds": 0},
    {"duration_seconds": 1e9},
    {"duration_seconds": math.nan},
    {"duration_seconds": "3"},
    {"frames_per_second": -25.0},
    {"frames_per_second": math.inf},
    {"width": 0},
    {"height": 48.5},
    {"rotation": 45},
    {"codec": None},
    {"codec": "owned"},
    {"codec": "\udfff"},
    {"warnings": [1]},
    {"more": 1},
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda nonsense: f"{nonsense}"[:40])
def test_frames_that_cannot_be_are_refused(nonsense: dict[str, Any]) -> None:
    message = json.loads(encode(WRITTEN)) | nonsense
    with pytest.raises(ProtocolError):
        parse_answer(json.dumps(message).encode(), DECODE)


@pytest.mark.parametrize("nonsense", NONSENSE_ABOUT_THE_VIDEO, ids=repr)
def test_facts_that_cannot_be_are_refused(nonsense: dict[str, Any]) -> None:
    message = json.loads(encode(VideoFacts(INFO)))
    message["info"] |= nonsense
    with pytest.raises(ProtocolError):
        parse_answer(json.dumps(message).encode(), Probe())


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 60_000,
        b'{"kind":"frames_rendered","worn_out":' + b"9" * 50_000 + b"}",
        encode(WRITTEN)[:-1],
        encode(WRITTEN) * 2,
        b"",
    ],
    ids=["nested", "digits", "torn", "two", "empty"],
)
def test_messages_made_to_break_a_parser_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_answer(data, Render(1, 0, 0.0, 48, 64))


@pytest.mark.parametrize(
    ("answer", "request_"),
    [(WRITTEN, Probe()), (VideoFacts(INFO), DECODE), (LOCATED, DECODE), (FramesRendered(), DECODE)],
)
def test_the_answer_to_another_request_is_refused(answer: Answer, request_: Request) -> None:
    with pytest.raises(ProtocolError):
        parse_answer(encode(answer), request_)


def test_a_worker_refuses_requests_that_are_not_for_it() -> None:
    with pytest.raises(ProtocolError):
        parse_request(encode(DECODE), [Render])


def test_every_error_about_videos_has_a_code_of_its_own() -> None:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    codes = [kind.code for kind in VideoError.__subclasses__()]

    assert len({*codes, VideoError.code}) == len(codes) + 1


@pytest.mark.parametrize("code", [kind.code for kind in VideoError.__subclasses__()])
def test_a_failure_becomes_the_error_that_the_worker_raised(code: str) -> None:
    error = Failure(code, "why").to_error()
    assert (error.code, str(error)) == (code, "why")


@pytest.mark.parametrize("code", ["", "video_error", "invalid_label", "SystemExit"])
def test_only_errors_about_videos_have_codes(code: str) -> None:
    data = json.dumps({"kind": "failure", "code": code, "message": "", "worn_out": False})
    with pytest.raises(ProtocolError):
        parse_answer(data.encode(), DECODE)


@given(st.lists(st.text(st.characters(codec=None), max_size=1000), max_size=40))
@settings(deadline=None)
def test_whatever_a_worker_warns_of_fits_into_a_message(said: list[str]) -> None:
    answer = FramesWritten(INFO, 48, 64, cut_warnings(said))
    assert parse_answer(encode(answer), DECODE) == answer


def test_the_longest_answer_fits_into_a_message() -> None:
    longest = cut_warnings(['"' * 1000] * 40)
    info = VideoInfo(1 / 3, 1 / 3, 2**31 - 1, 2**31 - 1, 270, "mpeg1video", longest)
    assert len(encode(FramesWritten(info, 2**31 - 1, 2**31 - 1, longest))) < MAX_MESSAGE_BYTES
