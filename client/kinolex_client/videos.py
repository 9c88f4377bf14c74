"""The kinds of videos that a caller may give, and their media type."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeAlias

# A path, the bytes of a file, or an open binary file, which is read from where it stands.
Video: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO

VIDEO_TYPE = "application/octet-stream"
PIECE_BYTES = 256 * 1024


class Source:
    """A video that can be opened again for another attempt, unless its file cannot seek."""

    def __init__(self, video: Video) -> None:
        self._open, self._closes = _opener(video), isinstance(video, str | os.PathLike)
        self.can_repeat = not hasattr(video, "seekable") or video.seekable()

    def open(self) -> tuple[BinaryIO, int | None]:
        """Return the file at its start, and the number of bytes to read; None: not known."""
        file = self._open()
        if not file.seekable():
            return file, None
        start = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(start)
        return file, end - start

    def close(self, file: BinaryIO) -> None:
        """Close the file, unless the caller gave it."""
        if self._closes:
            file.close()


def _opener(video: Video) -> Callable[[], BinaryIO]:
    if isinstance(video, bytes):
        return lambda: BytesIO(video)
    if isinstance(video, str | os.PathLike):
        path = Path(video)
        return lambda: path.open("rb")
    if not video.seekable():
        return lambda: video
    start = video.tell()

    def rewound() -> BinaryIO:
        video.seek(start)
        return video

    return rewound
