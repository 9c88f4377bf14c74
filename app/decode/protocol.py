"""The messages between decode pools and their workers. Both sides import this module.

A worker is started with a start message as its argument and sends `Ready`. Then it receives one
request at a time, with descriptors attached, and sends one answer to each. Both sides check every
message on arrival, because a hostile video may have taken over a worker: `app.decode.wire` checks
the types of all fields, this module their ranges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, TypeAlias, TypeVar

from app.decode import wire
from app.decode.sandbox.report import Sandbox
from app.decode.wire import ProtocolError
from model import VideoError
from model.video.container import CODECS
from model.video.cost import UNLIMITED, Allowance
from model.video.reader import VideoInfo, VideoLimits
from model.video.sampling import SamplingConfig

# Increment it with every change of a message: a service that still runs while its files are
# replaced must not use workers of the new version.
PROTOCOL_VERSION = 4
MAX_MESSAGE_BYTES = 1 << 16

# Longer texts are cut, and further warnings dropped, so that every answer fits into a message.
_MAX_TEXT_LENGTH = 300
_MAX_WARNINGS = 16
MAX_SECONDS = 1e9
_MAX_SIDE = (1 << 31) - 1
_MAX_FRAMES = 1 << 20
_MAX_THREADS = 256
_MAX_STREAMS = 1 << 16
# Names that VideoInfo may have for a codec. Animated WebP is read without FFmpeg's containers.
_CODECS = {*CODECS, "webp"}


def _require(is_right: bool, what: str) -> None:
    if not is_right:
        raise ValueError(f"out of range: {what}")


def _require_size(height: int, width: int) -> None:
    _require(1 <= height <= _MAX_SIDE and 1 <= width <= _MAX_SIDE, "height or width")


def _require_texts(*texts: str) -> None:
    _require(all(len(text) <= _MAX_TEXT_LENGTH for text in texts), "length of a text")
    # one that breaks lines or moves the cursor could forge lines of the log
    _require(all(text.isascii() and text.isprintable() for text in texts), "characters of a text")


def _require_warnings(warnings: Sequence[str]) -> None:
    _require(len(warnings) <= _MAX_WARNINGS, "number of warnings")
    _require_texts(*warnings)


def _require_info(info: VideoInfo) -> None:
    _require(0 < info.duration_seconds < MAX_SECONDS, "duration_seconds")
    _require(0 < info.frames_per_second < MAX_SECONDS, "frames_per_second")
    _require_size(info.height, info.width)
    _require(info.rotation in (0, 90, 180, 270), "rotation")
    _require(info.codec in _CODECS, "codec")
    _require_warnings(info.warnings)


def _require_cost(cpu_seconds: float) -> None:
    _require(0 <= cpu_seconds < MAX_SECONDS, "cpu_seconds")


def cut_text(text: str) -> str:
    """Shorten a text to the length that messages allow; replace all but printable ASCII."""
    text = text[:_MAX_TEXT_LENGTH]
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)


def cut_warnings(warnings: Sequence[str]) -> tuple[str, ...]:
    """Shorten warnings to the number and length that messages allow."""
    return tuple(map(cut_text, warnings[:_MAX_WARNINGS]))


# --- start ---


@dataclass(frozen=True, slots=True)
class StartDecoding:
    """Starts `app.decode.worker` with limits on each video and on the process itself."""

    kind: ClassVar[str] = "start_decoding"
    limits: VideoLimits
    max_memory_bytes: int
    cpu_seconds: int
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class StartRendering:
    """Starts `app.decode.gpu_worker` on a device of torch, such as `cuda`."""

    kind: ClassVar[str] = "start_rendering"
    device: str
    cpu_seconds: int
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class Ready:
    """Sent when the worker has loaded its modules, confined itself, and waits for requests.

    `sandbox` tells what protects a decode worker; a GPU worker has none.
    """

    kind: ClassVar[str] = "ready"
    version: int = PROTOCOL_VERSION
    sandbox: Sandbox | None = None


# --- answers ---


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Answers `Probe`.

    In every answer, `worn_out` asks the pool to replace the process, and `cpu_seconds` is the
    processor time of the job.
    """

    kind: ClassVar[str] = "video_facts"
    info: VideoInfo
    worn_out: bool = False
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        _require_info(self.info)
        _require_cost(self.cpu_seconds)


@dataclass(frozen=True, slots=True)
class FramesWritten:
    """Answers `Decode` and `Sample`: the frames and their times are in the memory."""

    kind: ClassVar[str] = "frames_written"
    info: VideoInfo
    height: int
    width: int
    warnings: tuple[str, ...]
    worn_out: bool = False
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        _require_info(self.info)
        _require_cost(self.cpu_seconds)
        _require_size(self.height, self.width)
        _require_warnings(self.warnings)


@dataclass(frozen=True, slots=True)
class FramesLocated:
    """Answers `Decode` and `Sample` with `locate`: what the GPU worker must know.

    `stream` is the index of the video's stream, `start_seconds` the time of its first frame on the
    stream's own clock, `height` and `width` the size of the scaled frames in pixels. The times of
    the frames, on that clock, are in the memory.
    """

    kind: ClassVar[str] = "frames_located"
    info: VideoInfo
    stream: int
    start_seconds: float
    height: int
    width: int
    worn_out: bool = False
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        _require_info(self.info)
        _require_cost(self.cpu_seconds)
        _require(0 <= self.stream < _MAX_STREAMS, "stream")
        _require(abs(self.start_seconds) < MAX_SECONDS, "start_seconds")
        _require_size(self.height, self.width)


@dataclass(frozen=True, slots=True)
class FramesRendered:
    """Answers `Render`: the frames and their times are in the memory."""

    kind: ClassVar[str] = "frames_rendered"
    worn_out: bool = False
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        _require_cost(self.cpu_seconds)


@dataclass(frozen=True, slots=True)
class Failure:
    """Answers any request: the `code` of a VideoError, and its text."""

    kind: ClassVar[str] = "failure"
    code: str
    message: str
    worn_out: bool = False
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        _require_cost(self.cpu_seconds)
        _require(self.code in _error_types(), "code")
        _require_texts(self.message)

    def to_error(self) -> VideoError:
        """Return the exception that the worker raised."""
        return _error_types()[self.code](self.message)


@cache
def _error_types() -> Mapping[str, type[VideoError]]:
    return {kind.code: kind for kind in VideoError.__subclasses__()}


# --- requests ---


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """Options of decoding, as in `model.video.reader.decode`; `short_side` is in pixels."""

    short_side: int
    keyframes_only: bool = False
    threads: int = 1

    def __post_init__(self) -> None:
        _require(1 <= self.short_side <= _MAX_SIDE, "short_side")
        _require(1 <= self.threads <= _MAX_THREADS, "threads")


@dataclass(frozen=True, slots=True)
class Probe:
    """Requests facts about the video, for at most `allowance`. Descriptors: the video."""

    kind: ClassVar[str] = "probe"
    allowance: Allowance = UNLIMITED

    @property
    def answers(self) -> tuple[type["Answer"], ...]:
        return (VideoFacts,)


@dataclass(frozen=True, slots=True)
class Decode:
    """Requests the frames at `count` times, which are in the memory, for at most `allowance`.

    Descriptors: the video and a memory file for this job; with `in_kept_memory` only the video, and
    the job's memory is the one that the worker keeps. With `locate`, the worker may answer
    `FramesLocated` instead of decoding.
    """

    kind: ClassVar[str] = "decode"
    count: int
    options: FrameOptions
    in_kept_memory: bool = False
    locate: bool = False
    allowance: Allowance = UNLIMITED

    def __post_init__(self) -> None:
        _require(1 <= self.count <= _MAX_FRAMES, "count")

    @property
    def answers(self) -> tuple[type["Answer"], ...]:
        return (FramesWritten, FramesLocated) if self.locate else (FramesWritten,)


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests the frames of all clips of the whole video; otherwise like `Decode`."""

    kind: ClassVar[str] = "sample"
    sampling: SamplingConfig
    options: FrameOptions
    in_kept_memory: bool = False
    locate: bool = False
    allowance: Allowance = UNLIMITED

    def __post_init__(self) -> None:
        frames = self.sampling.clips * self.sampling.frames_per_clip
        _require(1 <= frames <= _MAX_FRAMES, "frames of all clips")

    @property
    def answers(self) -> tuple[type["Answer"], ...]:
        return (FramesWritten, FramesLocated) if self.locate else (FramesWritten,)


@dataclass(frozen=True, slots=True)
class Render:
    """Requests the frames that a decode worker located. Descriptors: the video, the memory file.

    The fields are those of `FramesLocated`; the memory holds `count` times.
    """

    kind: ClassVar[str] = "render"
    count: int
    stream: int
    start_seconds: float
    height: int
    width: int

    def __post_init__(self) -> None:
        _require(1 <= self.count <= _MAX_FRAMES, "count")
        _require(0 <= self.stream < _MAX_STREAMS, "stream")
        _require_size(self.height, self.width)

    @property
    def answers(self) -> tuple[type["Answer"], ...]:
        return (FramesRendered,)


Start: TypeAlias = StartDecoding | StartRendering
Answer: TypeAlias = VideoFacts | FramesWritten | FramesLocated | FramesRendered | Failure
Request: TypeAlias = Probe | Decode | Sample | Render
_Start = TypeVar("_Start", StartDecoding, StartRendering)
_Request = TypeVar("_Request", bound=Request)


def encode(message: Start | Ready | Request | Answer) -> bytes:
    """Return the bytes of a message. Raises ValueError if it is longer than MAX_MESSAGE_BYTES."""
    data = wire.encode(message)
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(data)} bytes; {MAX_MESSAGE_BYTES} are the maximum")
    return data


def parse_start(data: bytes, kind: type[_Start]) -> _Start:
    """Read a worker's start message. Raises ProtocolError, also for another version."""
    return _same_version(wire.decode(data, [kind]))


def parse_ready(data: bytes) -> Ready:
    """Read a worker's first message. Raises ProtocolError, also for another version."""
    return _same_version(wire.decode(data, [Ready]))


def parse_request(data: bytes, kinds: Sequence[type[_Request]]) -> _Request:
    """Read a request of one of these kinds. Raises ProtocolError."""
    return wire.decode(data, kinds)


def parse_answer(data: bytes, request: Request) -> Answer:
    """Read the answer to this request. Raises ProtocolError."""
    return wire.decode(data, [*request.answers, Failure])


_Versioned = TypeVar("_Versioned", StartDecoding, StartRendering, Ready)


def _same_version(message: _Versioned) -> _Versioned:
    if message.version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"the other side uses version {message.version} of the decode protocol, this side "
            f"{PROTOCOL_VERSION}: restart the service"
        )
    return message
