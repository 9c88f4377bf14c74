"""Show one field of an interlaced frame, so that movement leaves no comb in it."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

_MIN_HEIGHT = 16


def upper_field(frame: VideoFrame) -> VideoFrame:
    """Return the field of the first line, as a frame of half the height.

    A frame that is not interlaced, and one whose planes cannot be split, is returned as it is.
    """
    can_split = frame.format.is_planar or len(frame.planes) == 1
    if not frame.interlaced_frame or frame.height < _MIN_HEIGHT or not can_split:
        return frame
    field = VideoFrame(frame.width, frame.height // 2, frame.format.name)
    for source, target in zip(frame.planes, field.planes, strict=True):
        lines = _lines(source)[::2]
        into = _lines(target)
        width = min(lines.shape[1], into.shape[1])
        rows = np.minimum(np.arange(len(into)), len(lines) - 1)
        into[:, :width] = lines[rows, :width]
    field.colorspace, field.color_range = frame.colorspace, frame.color_range
    field.color_trc, field.color_primaries = frame.color_trc, frame.color_primaries
    return field


def _lines(plane: VideoPlane) -> NDArray[np.uint8]:
    """The bytes of a plane, (lines, bytes per line)."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
