"""The errors of the library.

    KinolexError
    ├── VideoError            the bytes cannot be tagged
    │   ├── NotAVideo         no allowed container format recognises them
    │   ├── UnsupportedCodec  a video whose codec is not on the allow-list
    │   ├── StillPicture      a still or an animated picture, not a video
    │   ├── NoVideoStream     a container without a video stream (audio, subtitles, data)
    │   ├── NoFrames          a video stream from which nothing could be decoded
    │   ├── CorruptVideo      damaged beyond the error budget, or the decoder died on it
    │   ├── EncryptedVideo    the video stream is encrypted
    │   ├── VideoTooLong      longer than the limit, or more frames than may be walked
    │   └── PictureTooLarge   more pixels per frame than the limit
    ├── LabelError            a label that cannot be embedded or stored
    └── CheckpointError       a checkpoint that is missing, damaged or does not fit

Each class carries a stable `code`, which is part of the public API.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias


class KinolexError(Exception):
    """Base of all errors raised on purpose; its message is safe to show to a caller."""

    code: ClassVar[str] = "kinolex_error"


class VideoError(KinolexError):
    """The bytes cannot be tagged."""

    code = "video_error"


class NotAVideo(VideoError):
    """No allowed container format recognises the bytes."""

    code = "not_a_video"


class UnsupportedCodec(VideoError):
    """The video's codec is not on the allow-list."""

    code = "unsupported_codec"


class StillPicture(VideoError):
    """A still or an animated picture."""

    code = "still_picture"


class NoVideoStream(VideoError):
    """The container holds no video stream."""

    code = "no_video_stream"


class NoFrames(VideoError):
    """Not a single frame could be decoded."""

    code = "no_frames"


class CorruptVideo(VideoError):
    """Damaged beyond the error budget, or the decoder died on it."""

    code = "corrupt"


class EncryptedVideo(VideoError):
    """The video stream is encrypted."""

    code = "encrypted"


class VideoTooLong(VideoError):
    """Longer than the limit, or more frames than may be walked."""

    code = "too_long"


class PictureTooLarge(VideoError):
    """More pixels per frame than the limit."""

    code = "too_large_picture"


TextField: TypeAlias = Literal["name", "prompts", "aliases", "description"]


@dataclass(frozen=True, slots=True)
class UnknownWords:
    """A text of a label with words that the text model has no vector for.

    The text is `label`'s `field`; `position` is its index in `prompts` or `aliases`, else None.
    """

    label: str
    field: TextField
    position: int | None
    words: tuple[str, ...]


class LabelError(KinolexError):
    """A label that cannot be embedded or stored.

    `unknown` lists the texts that cannot be embedded, where unknown words are the reason.
    """

    code = "invalid_label"

    def __init__(self, message: str, unknown: Sequence[UnknownWords] = ()) -> None:
        super().__init__(message)
        self.unknown = tuple(unknown)


class CheckpointError(KinolexError):
    """A checkpoint that is missing, damaged or does not fit."""

    code = "checkpoint_error"
