"""Compute display times for streams in files that have none: AVI and raw streams.

AVI numbers its frames in decoding order, and a raw stream does not number them at all. The order of
display is in the headers of the frames; FFmpeg's filter `dts2pts` reads it for H.264 and HEVC.

DivX and Xvid pack a B-frame into the packet of the frame that it needs, and put a packet that holds
nothing behind it. FFmpeg then takes the time of the one for that of the other.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from model.video.container import RAW_FORMATS, codec_name

if TYPE_CHECKING:
    VideoPacket: TypeAlias = Packet[VideoStream]
else:
    # PyAV's packets are generic in its stubs only.
    VideoPacket = Packet

# First bytes of the units that hold an IDR frame: no frame after it refers to one before it.
_IDR = {"h264": b"\x25\x45\x65", "hevc": b"\x26\x28"}
_START_CODE = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
# Where the codec's private data says how many bytes hold a unit's length, in place of start codes.
_LENGTH_BYTES_AT = {"h264": 4, "hevc": 21}
# What encoders that pack B-frames write into the private data of MPEG-4 part 2.
_PACKED = re.compile(rb"DivX\d+(?:b|Build)\d+p")
# The start code of a frame in MPEG-4 part 2; the next two bits are its type.
_FRAME_START = b"\x00\x00\x01\xb6"
_B_FRAME = 2
# No encoder puts more B-frames between two others.
_MAX_B_FRAMES = 16


def lacks_display_times(container: InputContainer, stream: VideoStream) -> bool:
    """Whether packets of this stream have no display times, or wrong ones."""
    if has_packed_frames(container, stream):
        return True
    if codec_name(stream) not in _IDR:
        return False
    is_avi = container.format.name == "avi"
    return container.format.name in RAW_FORMATS or (
        is_avi and stream.codec_context.reorder_depth > 0
    )


def has_packed_frames(container: InputContainer, stream: VideoStream) -> bool:
    """Whether packets hold two frames of MPEG-4 part 2 each, as DivX and Xvid write AVI files."""
    if codec_name(stream) != "mpeg4" or container.format.name != "avi":
        return False
    return _PACKED.search(stream.codec_context.extradata or b"") is not None


def with_display_times(
    packets: Iterator[VideoPacket], stream: VideoStream, ticks_per_frame: int
) -> Iterator[VideoPacket]:
    """Yield the packets with display times, packed frames in packets of their own.

    Those of H.264 and HEVC before the first IDR frame have no time. Packets without a decoding time
    get one, `ticks_per_frame` apart from 0 on. Raises an av.error.FFmpegError where a frame's
    header is damaged.
    """
    if codec_name(stream) not in _IDR:
        yield from _unpacked(packets, stream, ticks_per_frame)
        return
    is_idr = _IdrFinder(stream)
    group: _Group | None = None
    for number, packet in enumerate(packets):
        if not packet.size:
            continue
        packet.pts = None
        if packet.dts is None:
            packet.dts = number * ticks_per_frame
        if (group is None or packet.is_keyframe) and is_idr.matches(packet):
            if group is not None:
                yield from group.end(packet.dts)
            group = _Group(stream, ticks_per_frame)
        yield from (packet,) if group is None else group.add(packet)
    if group is not None:
        yield from group.end()


def _unpacked(
    packets: Iterator[VideoPacket], stream: VideoStream, step: int
) -> Iterator[VideoPacket]:
    """Yield a packet for each frame: B-frames are displayed before the frame that they follow."""
    unpack = BitStreamFilterContext("mpeg4_unpack_bframes", stream)
    # a frame and the B-frames that follow it
    group: list[VideoPacket] = []
    for packet in packets:
        for single in unpack.filter(packet) if packet.size else ():
            if not _is_b_frame(single) or len(group) > _MAX_B_FRAMES:
                yield from _timed(group, step)
                group = []
            group.append(single)
    for single in unpack.filter(None):
        group.append(single)
    yield from _timed(group, step)


def _timed(group: Sequence[VideoPacket], step: int) -> Sequence[VideoPacket]:
    for packet in group:
        packet.pts = packet.dts
    if group and group[-1].dts is not None:
        group[0].pts = group[-1].dts + step
    return group


def _is_b_frame(packet: VideoPacket) -> bool:
    data = bytes(packet)
    at = data.find(_FRAME_START) + len(_FRAME_START)
    return len(_FRAME_START) <= at < len(data) and data[at] >> 6 == _B_FRAME


class _Group:
    """An IDR frame and those up to the next one: none is displayed before it, or after the next.

    Each group has a filter of its own. Near the end of a file, the filter gives the frames behind
    an IDR frame times of the group before.
    """

    def __init__(self, stream: VideoStream, step: int) -> None:
        self._order = BitStreamFilterContext("dts2pts", stream)
        self._delay = stream.codec_context.reorder_depth
        self._step = step
        self._count = 0
        self._latest = 0

    def add(self, packet: VideoPacket) -> Sequence[VideoPacket]:
        """Take the next packet; return those whose times are known now."""
        self._count += 1
        self._latest = packet.dts or 0
        # The filter adds it to the latest time.
        packet.duration = packet.duration or self._step
        return self._order.filter(packet)

    def end(self, following: int | None = None) -> Sequence[VideoPacket]:
        """Return the packets that the filter holds; the next group is decoded from `following` on.

        It gives the frames displayed last a time that is only good for their order, or none where
        the frame before it was not read yet. Of several without any, the order is not known.
        """
        packets = self._order.filter(None)
        late = [packet for packet in packets if packet.pts is None or packet.pts > self._latest]
        late.sort(key=lambda packet: math.inf if packet.pts is None else packet.pts)
        is_known = len(late) < 2 or late[-2].pts is not None
        first = self._latest + self._step if following is None else following
        first += max(0, self._delay - self._count) * self._step
        for number, packet in enumerate(late):
            packet.pts = first + number * self._step if is_known else None
        return packets


class _IdrFinder:
    """Tells IDR frames by the first bytes of a packet's units."""

    def __init__(self, stream: VideoStream) -> None:
        codec = stream.codec_context.codec.canonical_name
        private = stream.codec_context.extradata or b""
        at = _LENGTH_BYTES_AT[codec]
        self._first_bytes = _IDR[codec]
        # Private data in the form of start codes begins with a zero.
        self._length_bytes = (
            private[at] % 4 + 1 if private[:1] == b"\1" and len(private) > at else 0
        )

    def matches(self, packet: VideoPacket) -> bool:
        """Whether the packet holds an IDR frame."""
        data = bytes(packet)
        if not self._length_bytes:
            return any(unit[1] in self._first_bytes for unit in _START_CODE.finditer(data))
        position = 0
        while (start := position + self._length_bytes) < len(data):
            if data[start] in self._first_bytes:
                return True
            position = start + int.from_bytes(data[position:start], "big")
        return False
