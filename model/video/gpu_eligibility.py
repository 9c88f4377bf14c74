"""Decide whether a GPU may decode a video: its decoder must return the same frames as a CPU.

See docs/decisions/0011-a-gpu-decodes-only-what-the-limited-processes-checked.md.
"""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from model.video.container import codec_name
from model.video.file_view import FileView, file_size
from model.video.recognition.file_types import has_encrypted_track

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_CODECS = {"h264", "hevc", "vp9", "av1"}
# FFmpeg's numbers: BT.709, unknown (decoders assume BT.601), and two names of BT.601.
_MATRICES = {1, 2, 5, 6}
_FULL_RANGE = 2
# The GPU's decoder reads all packets before the first frame.
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Located:
    """The location of frames in a file, for a decoder that has no other facts about it.

    `stream` is the index of the video stream. `start_seconds` is the time of the first frame on
    the stream's own clock; `seconds`, float64 (T,), are times on that clock, each within the time
    that a wanted frame is displayed. `height` and `width` are the size to scale to, in pixels.
    """

    stream: int
    start_seconds: float
    seconds: NDArray[np.float64]
    height: int
    width: int


def is_gpu_decodable(
    file: BinaryIO, container: InputContainer, stream: VideoStream, first: VideoFrame
) -> bool:
    """Whether a GPU decodes the same frames and colours, and the file can be read as MP4 only.

    The file must begin with a zero byte, as an MP4 whose first box is under 16 MiB does. The GPU
    decoder's FFmpeg has no list of allowed formats: it could read text as a playlist and open the
    files and addresses in it. Text ends at a zero byte.
    """
    return (
        container.format.name == _MP4
        and codec_name(stream) in _CODECS
        and first.format.name == "yuv420p"
        and first.colorspace in _MATRICES
        and first.color_range != _FULL_RANGE
        and not first.interlaced_frame
        and FileView(file).read(1) == b"\0"
        and file_size(file) <= _MAX_BYTES
        and not has_encrypted_track(file)
    )
