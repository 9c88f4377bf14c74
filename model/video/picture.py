"""A decoded frame -> RGB pixels of one size, the right way up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from model.errors import UnsupportedCodec
from model.video.container import FOREIGN_ERRORS
from model.video.frames import Shown

_MAX_ASPECT = 4.0


@dataclass(frozen=True, slots=True)
class Turn:
    """How decoded pictures are turned for display: transposed first, then mirrored."""

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> "Turn":
        """From the display matrix, taken to the nearest right angle."""
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
        """Clockwise; a mirror image counts as mirrored left to right before it is turned."""
        if self.transposed:
            return 270 if self.upside_down else 90
        return 180 if self.upside_down else 0

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.transposed:
            picture = picture.transpose(1, 0, 2)
        if self.upside_down:
            picture = picture[::-1]
        return picture[:, ::-1] if self.mirrored else picture


class Canvas:
    """Converts decoded frames to RGB of one size, with one reformatter.

    (A reformatter per frame leaks in PyAV before 19 and always costs its set-up.)
    """

    def __init__(self, short_side: int, width: int, height: int, turn: Turn) -> None:
        """`width` and `height` are the size on display; only their ratio counts."""
        aspect = max(width, height) / min(width, height)
        long_side = max(short_side, 2 * round(short_side * min(aspect, _MAX_ASPECT) / 2))
        rows, columns = (short_side, long_side) if width >= height else (long_side, short_side)
        self.shape = (rows, columns, 3)
        self._decoded_size = (rows, columns) if turn.transposed else (columns, rows)
        self._turn = turn
        self._reformatter = VideoReformatter()
        self._last: tuple[VideoFrame, NDArray[np.uint8]] | None = None

    def draw(self, shown: Shown) -> NDArray[np.uint8]:
        """The frame as uint8 (H, W, 3); the same frame again costs nothing."""
        if self._last is not None and self._last[0] is shown.frame:
            return self._last[1]
        width, height = self._decoded_size
        try:
            small = self._reformatter.reformat(shown.frame, width, height, "rgb24", threads=1)
        except FOREIGN_ERRORS as error:
            raise UnsupportedCodec(
                f"pictures of the format {shown.frame.format.name} cannot be converted"
            ) from error
        picture = self._turn(cast("NDArray[np.uint8]", small.to_ndarray()))
        self._last = (shown.frame, picture)
        return picture
