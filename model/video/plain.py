"""Which videos another decoder may be trusted to read as this one does."""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from model.video.container import FileView, codec_name, file_size, has_encrypted_track

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_CODECS = {"h264", "hevc", "vp9", "av1"}
# FFmpeg's numbers: BT.709, unknown (which all take for BT.601), and the two names of BT.601.
_MATRICES = {1, 2, 5, 6}
_FULL_RANGE = 2
# The others read all packets before the first frame.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Located:
    """Where frames are in a file, for a decoder that knows nothing but the file.

    `stream` is the number of the video's stream. Its own clock shows `start_seconds` at the first
    frame, and `seconds`, float64 (T,), each somewhere within a wanted frame's time. `height` and
    `width` are what the frames become.
    """

    stream: int
    start_seconds: float
    seconds: NDArray[np.float64]
    height: int
    width: int


def is_plain(
    file: BinaryIO, container: InputContainer, stream: VideoStream, first: VideoFrame
) -> bool:
    """Whether decoders agree on such frames and colours, and nothing but an MP4 can be seen in it.

    The file must begin with a zero byte, as an MP4 with a first box under 16 MiB does: for an
    FFmpeg without whitelists text would make it a playlist, which opens other files and addresses,
    and text ends at that byte.
    """
    return (
        container.format.name == _MP4
        and codec_name(stream) in _CODECS
        and first.format.name == "yuv420p"
        and first.colorspace in _MATRICES
        and first.color_range != _FULL_RANGE
        and not first.interlaced_frame
        and FileView(file).read(1) == b"\0"
        and file_size(file) <= _MOST_BYTES
        and not has_encrypted_track(file)
    )
