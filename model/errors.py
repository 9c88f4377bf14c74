"""The errors of the library.

    KinolexError
    ├── VideoError            a file cannot be tagged
    │   ├── NotAVideo         the bytes are in no allowed container format
    │   ├── UnsupportedCodec  the codec is not on the allow-list
    │   ├── StillPicture      an image, still or animated
    │   ├── NoVideoStream     a container without a video stream (audio, subtitles, data)
    │   ├── NoFrames          no frame could be decoded
    │   ├── CorruptVideo      more damage than allowed, or the decode process ended
    │   ├── EncryptedVideo    the video stream is encrypted
    │   ├── VideoTooLong      over the limit of duration or of frames to read
    │   ├── ExpensiveVideo    costs more than a file of its size may
    │   └── PictureTooLarge   frames have more pixels than the limit
    ├── LabelError            a label that cannot be embedded or stored
    └── CheckpointError       a checkpoint that is missing, damaged or does not fit

Each class carries a stable `code`, which is part of the public API.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias


class KinolexError(Exception):
    """Base of the library's errors; its message may be shown to a client."""

    code: ClassVar[str] = "kinolex_error"


class VideoError(KinolexError):
    """The file cannot be tagged."""

    code = "video_error"


class NotAVideo(VideoError):
    """The bytes are in no allowed container format."""

    code = "not_a_video"


class UnsupportedCodec(VideoError):
    """The video's codec is not on the allow-list."""

    code = "unsupported_codec"


class StillPicture(VideoError):
    """The file is an image, still or animated."""

    code = "still_picture"


class NoVideoStream(VideoError):
    """The container holds no video stream."""

    code = "no_video_stream"


class NoFrames(VideoError):
    """No frame of the video stream could be decoded."""

    code = "no_frames"


class CorruptVideo(VideoError):
    """The video has more damage than allowed, or the decode process ended on it."""

    code = "corrupt"


class EncryptedVideo(VideoError):
    """The video stream is encrypted."""

    code = "encrypted"


class VideoTooLong(VideoError):
    """The video is over the limit of duration, or of frames to read."""

    code = "too_long"


class ExpensiveVideo(VideoError):
    """Reading the video costs more time or memory than a file of its size may."""

    code = "too_expensive"


class PictureTooLarge(VideoError):
    """The video's frames have more pixels than the limit."""

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
    """A checkpoint is missing, damaged, or does not fit together."""

    code = "checkpoint_error"
