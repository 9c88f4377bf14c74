"""Show GIF frames as long as browsers do, which lengthen the shortest delays."""

from typing import BinaryIO, cast

import numpy as np

from model.video.cost import check_cost
from model.video.file_view import FileView
from model.video.timing.patched_file import PatchedFile

# Delays in 1/100 s. Old files ask for "as fast as possible"; all browsers show 1/10 s instead.
_MAX_UNSHOWN, _SHOWN = 1, 10
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9
_HAS_COLOURS = 0x80


def with_shown_delays(file: BinaryIO) -> BinaryIO:
    """Return a GIF with delays of 0 and 0.01 s replaced by 0.1 s."""
    fields = _short_delays(FileView(file))
    if not fields:
        return file
    values = np.tile(np.frombuffer(_SHOWN.to_bytes(2, "little"), np.uint8), (len(fields), 1))
    return cast("BinaryIO", PatchedFile(file, np.array(fields, np.int64), values))


def _short_delays(view: FileView) -> list[int]:
    """Return the positions of the delays that browsers lengthen, up to the first damage."""
    fields = []
    screen = view.read(13)
    view.seek(13 + _colour_bytes(screen[10:11]))
    while block := view.read(1):
        check_cost()
        if block[0] == _EXTENSION:
            is_control = view.read(1) == bytes([_CONTROL])
            if is_control:
                position = view.tell()
                control = view.read(6)
                if control[:1] == b"\4" and int.from_bytes(control[2:4], "little") <= _MAX_UNSHOWN:
                    fields.append(position + 2)
                view.seek(position)
        elif block[0] == _IMAGE:
            frame = view.read(9)
            # the local colours, and a byte about the compression
            view.seek(view.tell() + _colour_bytes(frame[8:9]) + 1)
        else:
            break
        _skip_parts(view)
    return fields


def _colour_bytes(flags: bytes) -> int:
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & _HAS_COLOURS else 0


def _skip_parts(view: FileView) -> None:
    """Skip the parts of a block, each with its length in front; the last one is empty."""
    while (length := view.read(1)) and length[0]:
        check_cost()
        view.seek(view.tell() + length[0])
