"""Find the timestamps of the video frames in an MPEG transport stream, and where packets are lost.

The layout is that of ISO/IEC 13818-1: packets of 188 bytes, of 192 with a time code in front
(Blu-ray, AVCHD) or of 204 with a checksum behind. Blocks of packets are read with NumPy, because a
recording has millions of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.video.file_view import FileView

Bytes: TypeAlias = NDArray[np.uint8]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

_SYNC = 0x47
_PACKET = 188
_SIZES = (188, 192, 204)
_MIN_PACKETS = 5
_BLOCK_BYTES = 4 << 20
# The sync bytes are lost where six of the next eight packets have none.
_AHEAD, _MAX_BAD = 8, 6
# A file that loses its sync bytes more often is left to FFmpeg as it is.
_MAX_LOSSES = 1_000
# Bytes of a PES header up to its optional fields, and of a timestamp.
_PES_HEADER, _TIME = 9, 5
# PES stream ids of video: MPEG video, H.264 and HEVC; and the extended id, of VC-1.
_VIDEO_IDS, _EXTENDED_ID = range(0xE0, 0xF0), 0xFD


@dataclass(frozen=True, slots=True)
class Layout:
    """The size of a packet and the position of the first sync byte, in bytes."""

    size: int
    first: int


@dataclass(frozen=True, slots=True, eq=False)
class FrameTimes:
    """The timestamps of one video stream's frames, in the order of the file; one row per frame.

    `pts` and `dts` are ticks of 1/90,000 s, `dts` equal to `pts` where the frame has none; `pts_at`
    and `dts_at` are the positions of their five bytes in the file, -1 for a missing `dts`. `is_cut`
    tells that another recording may begin with the frame, `is_holed` that the frame before it is
    damaged: packets are missing in it, or the sync bytes are lost behind it.
    """

    pts: Ints
    dts: Ints
    pts_at: Ints
    dts_at: Ints
    is_cut: Flags
    is_holed: Flags


def find_layout(head: bytes) -> Layout | None:
    """Recognise a transport stream by its first bytes: five packets in a row, of any size."""
    is_sync = np.frombuffer(head, np.uint8) == _SYNC
    for size in _SIZES:
        count = min(size, is_sync.size - size * (_MIN_PACKETS - 1))
        if count > 0:
            rows = [is_sync[at * size :][:count] for at in range(_MIN_PACKETS)]
            found = np.flatnonzero(np.logical_and.reduce(rows))
            if found.size:
                return Layout(size, int(found[0]))
    return None


def scan_streams(file: FileView, layout: Layout) -> dict[int, FrameTimes]:
    """Read all packets and return the timestamps of each video stream, by packet id.

    Empty for a file that loses its sync bytes more than a thousand times.
    """
    streams: dict[int, _Stream] = {}
    losses = 0
    for position, packets in _blocks(file, layout):
        if packets is None:
            losses += 1
            if losses > _MAX_LOSSES:
                return {}
            for stream in streams.values():
                stream.lose_sync()
        else:
            block = _Block(packets, position, layout.size)
            for pid in {*streams, *np.unique(block.pid[block.starts_frame]).tolist()}:
                streams.setdefault(pid, _Stream()).add(block, pid)
    return {pid: stream.frames() for pid, stream in streams.items()}


def _blocks(file: FileView, layout: Layout) -> Iterator[tuple[int, Bytes | None]]:
    """Yield packets (N, 188) with the position of the first one.

    Where the sync bytes are lost, None is yielded in their place.
    """
    position = layout.first
    while True:
        file.seek(position)
        data = np.frombuffer(file.read(_BLOCK_BYTES), np.uint8)
        if data.size < _PACKET:
            return
        # The last packet has nothing behind it, in any layout.
        data = np.pad(data, (0, layout.size - _PACKET))
        count = data.size // layout.size
        packets = data[: count * layout.size].reshape(count, layout.size)[:, :_PACKET]
        bad_up_to = np.cumsum(np.pad(packets[:, 0] != _SYNC, (1, _AHEAD)))
        lost = np.flatnonzero(bad_up_to[_AHEAD:-1] - bad_up_to[: -_AHEAD - 1] >= _MAX_BAD)
        kept = int(lost[0]) if lost.size else count
        if kept:
            yield position, packets[:kept]
        position += kept * layout.size
        if lost.size:
            yield position, None
            found = _find_sync(file, position, layout.size)
            if found is None:
                return
            position = found


def _find_sync(file: FileView, position: int, size: int) -> int | None:
    """Return the position of the next three packets in a row, None if there are none."""
    span = 2 * size + 1
    while True:
        file.seek(position)
        data = np.frombuffer(file.read(_BLOCK_BYTES), np.uint8) == _SYNC
        if data.size < span:
            return None
        starts = data.size - span + 1
        found = data[:starts] & data[size : size + starts] & data[2 * size : 2 * size + starts]
        first = int(found.argmax())
        if found[first]:
            return position + first
        position += starts


class _Block:
    """The fields of N packets, each an array (N,); columns of `rows` are those of FrameTimes."""

    def __init__(self, packets: Bytes, position: int, size: int) -> None:
        has_sync = packets[:, 0] == _SYNC
        self.pid = (packets[:, 1].astype(np.int64) & 0x1F) << 8 | packets[:, 2]
        self.counter = (packets[:, 3] & 15).astype(np.int64)
        has_fields = packets[:, 3] & 0x20 != 0
        is_clear = packets[:, 3] & 0xC0 == 0
        self.has_payload = has_sync & (packets[:, 3] & 0x10 != 0) & is_clear
        flags = np.where(has_fields & (packets[:, 4] > 0), packets[:, 5], 0)
        self.may_jump = flags & 0x80 != 0
        # A recording begins with the counter at 0, or with a frame marked as random access point.
        self.may_begin = (self.counter == 0) | (flags & 0x40 != 0)
        payload = np.where(has_fields, 5 + packets[:, 4].astype(np.int64), 4)
        self.starts_unit = self.has_payload & (packets[:, 1] & 0x40 != 0)
        fits = payload <= _PACKET - _PES_HEADER - _TIME
        at = np.flatnonzero(self.starts_unit & fits)
        offset = payload[at]
        header = [packets[at, offset + index] for index in range(_PES_HEADER)]
        is_video = (header[3] >= _VIDEO_IDS.start) & (header[3] < _VIDEO_IDS.stop)
        is_video |= header[3] == _EXTENDED_ID
        is_pes = (header[0] == 0) & (header[1] == 0) & (header[2] == 1) & (header[6] & 0xC0 == 0x80)
        is_frame = is_video & is_pes & (header[7] & 0x80 != 0)
        at, offset, has_dts = at[is_frame], offset[is_frame], (header[7] & 0x40 != 0)[is_frame]
        has_dts &= offset <= _PACKET - _PES_HEADER - 2 * _TIME
        pts = _time(packets, at, offset + _PES_HEADER)
        dts = pts.copy()
        dts[has_dts] = _time(packets, at[has_dts], (offset + _PES_HEADER + _TIME)[has_dts])
        pts_at = position + at * size + offset + _PES_HEADER
        self.starts_frame = np.zeros(len(packets), bool)
        self.starts_frame[at] = True
        self.frame_of_packet = np.cumsum(self.starts_frame) - 1
        self.frames = np.stack([pts, dts, pts_at, np.where(has_dts, pts_at + _TIME, -1)], 1)


def _time(packets: Bytes, at: Ints, offset: Ints) -> Ints:
    """Read the 33 bits of a timestamp that begins at `offset` in the packet `at`."""
    a, b, c, d, e = (packets[at, offset + index].astype(np.int64) for index in range(_TIME))
    return (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1


class _Stream:
    """The frames of one packet id, collected block by block."""

    def __init__(self) -> None:
        self._counter: int | None = None
        self._has_hole = False
        self._rows: list[Ints] = []

    def lose_sync(self) -> None:
        """Note that the sync bytes are lost behind the frames so far."""
        self._has_hole = True

    def add(self, block: _Block, pid: int) -> None:
        """Add the frames of a block, and note where the packets' counter shows a gap."""
        at = np.flatnonzero((block.pid == pid) & block.has_payload)
        if at.size == 0:
            return
        counter = block.counter[at]
        before = np.concatenate([[self._counter if self._counter is not None else -1], counter])
        step = (counter - before[:-1]) & 15
        # A packet may be sent twice, with the same counter.
        is_gap = (step > 1) & ~block.may_jump[at] & (before[:-1] >= 0)
        self._counter = int(counter[-1])
        starts = block.starts_unit[at]
        is_cut = is_gap & starts & block.may_begin[at]
        number = np.cumsum(starts)
        holes = np.zeros(int(number[-1]) + 1, bool)
        # What is missing before a frame belongs to the one before it.
        holes[(number - starts)[is_gap & ~is_cut]] = True
        holes[0] |= self._has_hole
        self._has_hole = bool(holes[-1])
        is_frame = block.starts_frame[at]
        frames = block.frames[block.frame_of_packet[at[is_frame]]]
        is_holed = holes[:-1][number[is_frame] - 1]
        self._rows.append(np.column_stack([frames, is_cut[is_frame], is_holed]))

    def frames(self) -> FrameTimes:
        pts, dts, pts_at, dts_at, is_cut, is_holed = np.concatenate(self._rows).T
        return FrameTimes(pts, dts, pts_at, dts_at, is_cut.astype(bool), is_holed.astype(bool))
