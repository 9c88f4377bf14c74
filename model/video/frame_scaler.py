"""Scale decoded frames to RGB of one size and apply the video's rotation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from model.errors import UnsupportedCodec
from model.video.container import FOREIGN_ERRORS, raise_if_out_of_memory
from model.video.fields import upper_field
from model.video.frames import DecodedFrame
from model.video.tone_mapping import HDR_CURVES, tone_map

# Wider or taller videos are squeezed to this ratio, so that a frame's memory is bounded.
_MAX_ASPECT_RATIO = 4
# Pixel formats of pictures whose transparent parts have any colour.
_HAS_ALPHA = {"rgba", "bgra", "rgba64be", "ya8", "ya16be"}
_ROWS = 128


def max_frame_bytes(short_side: int) -> int:
    """Maximum size in bytes of one scaled frame, uint8 (H, W, 3), for any video.

    `short_side` is the frame's short side in pixels; `FrameScaler` makes no frame's long side
    longer than four times that.
    """
    return _MAX_ASPECT_RATIO * short_side**2 * 3


@dataclass(frozen=True, slots=True)
class Rotation:
    """Rotation and mirroring that a decoded frame needs for display.

    The frame is transposed first, then flipped vertically, then horizontally.
    """

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> "Rotation":
        """Read the frame's display matrix, rounded to the nearest right angle."""
        side_data = cast("Mapping[str, Buffer]", frame.side_data)
        matrix = side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        # (x, y) is shown at (a x + c y, b x + d y), with y pointing down.
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(transposed=True, upside_down=b < 0, mirrored=c < 0)
        return cls(upside_down=d < 0, mirrored=a < 0)

    @property
    def degrees(self) -> int:
        """Clockwise rotation: 0, 90, 180 or 270. A mirror image is mirrored before rotation."""
        if self.transposed:
            return 270 if self.upside_down else 90
        return 180 if self.upside_down else 0

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Rotate a picture (H, W, 3); the result is a view of it."""
        if self.transposed:
            picture = picture.transpose(1, 0, 2)
        if self.upside_down:
            picture = picture[::-1]
        return picture[:, ::-1] if self.mirrored else picture


class FrameScaler:
    """Scales decoded frames to RGB of one size; `shape` is (H, W, 3).

    All frames share one reformatter: setting up one for each frame costs time, and PyAV before 19
    leaks it.
    """

    def __init__(self, short_side: int, width: int, height: int, rotation: Rotation) -> None:
        """`width` and `height` are the size on display; only their ratio counts."""
        aspect_ratio = min(max(width, height) / min(width, height), _MAX_ASPECT_RATIO)
        long_side = max(short_side, 2 * round(short_side * aspect_ratio / 2))
        rows, columns = (short_side, long_side) if width >= height else (long_side, short_side)
        self.shape = (rows, columns, 3)
        self._decoded_size = (rows, columns) if rotation.transposed else (columns, rows)
        self._rotation = rotation
        self._reformatter = VideoReformatter()
        self._last: tuple[VideoFrame, NDArray[np.uint8]] | None = None

    def scale(self, decoded: DecodedFrame) -> NDArray[np.uint8]:
        """Return the frame as uint8 (H, W, 3) RGB; the same frame again is not scaled again.

        Raises UnsupportedCodec where FFmpeg cannot convert the frame's pixel format.
        """
        frame = decoded.frame
        if self._last is not None and self._last[0] is frame:
            return self._last[1]
        picture = self._rotation.apply(self._scaled(frame))
        self._last = (frame, picture)
        return picture

    def _scaled(self, frame: VideoFrame) -> NDArray[np.uint8]:
        is_hdr = frame.color_trc in HDR_CURVES
        has_alpha = frame.format.name in _HAS_ALPHA
        kind = "rgb48le" if is_hdr else "rgba" if has_alpha else "rgb24"
        width, height = self._decoded_size
        try:
            shown = upper_field(frame)
            scaled = self._reformatter.reformat(shown, width, height, kind, threads=1).to_ndarray()
        except FOREIGN_ERRORS as error:
            raise_if_out_of_memory(error)
            raise UnsupportedCodec(
                f"frames of the pixel format {frame.format.name} cannot be converted to RGB; "
                "re-encode the video, for example as H.264 with yuv420p"
            ) from error
        if is_hdr:
            return tone_map(cast("NDArray[np.uint16]", scaled), frame.color_trc)
        picture = cast("NDArray[np.uint8]", scaled)
        return on_white(picture) if has_alpha else picture


def on_white(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put a picture with alpha, uint8 (H, W, 4) RGBA, on white: (H, W, 3)."""
    shown = np.empty((*picture.shape[:2], 3), np.uint8)
    # rows by rows: the work needs several times their memory
    for first in range(0, len(picture), _ROWS):
        rows = picture[first : first + _ROWS]
        alpha = rows[..., 3:] / np.float32(255)
        shown[first : first + _ROWS] = (rows[..., :3] * alpha + 255 * (1 - alpha)).round()
    return shown
