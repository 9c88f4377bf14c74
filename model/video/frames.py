"""Packets -> frames in display order, with the damage counted and the useless work left out."""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from model.errors import VideoTooLong
from model.video.container import FOREIGN_ERRORS, VideoLimits, codec_name

# Packets read ahead of the decoder. No codec here reorders by more than 16 frames, so a
# window of that depth on either side shows every neighbour in display order.
_LOOK_AHEAD = 16
_LOOK_BEHIND = 32
# Decoders whose frames marked as "no reference" can be left out without changing any other.
# HEVC is not here: its mark only counts within one temporal layer.
_SKIPS_EXACTLY = {"h264", "mpeg1video", "mpeg2video", "vp8"}
_MAX_FAILED_READS = 32
_MAX_PACKETS_TO_KEY = 3_000
_MAX_SEEKS = 8
# Damage can mix up the order by a few frames; these many are held back and sorted.
_SORTED_FRAMES = 8


if TYPE_CHECKING:
    VideoPacket: TypeAlias = Packet[VideoStream]
else:
    # PyAV's packets are generic in its stubs only.
    VideoPacket = Packet


class DecodedFrame(NamedTuple):
    """A decoded frame and when it appears, in the stream's own ticks."""

    pts: int
    frame: VideoFrame


class UnreliableStreamError(Exception):
    """Seeking or leaving frames out cannot be trusted on this file: read all of it in order."""


class FrameReader:
    """Reads one stream in display order, from the start or from where `seek` put it.

    Strict readers trust the file's times, leave out what nobody asked for, and raise
    UnreliableStreamError where that could change a frame. Others take every frame as it comes
    and mend the times.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        limits: VideoLimits,
        *,
        strict: bool,
        keyframes_only: bool = False,
    ) -> None:
        self._container = container
        self._stream = stream
        self._context = stream.codec_context
        self._limits = limits
        self._strict = strict
        self._keyframes_only = keyframes_only
        self._skips = strict and not keyframes_only and codec_name(stream) in _SKIPS_EXACTLY
        self._wanted: Sequence[int] | None = None
        self._skipping = False
        self._packets = container.demux(stream)
        # A keyframe's neighbours are a whole group of pictures away: too far to look ahead.
        self._depth = 1 if keyframes_only else _LOOK_AHEAD
        self._ahead: deque[VideoPacket] = deque()
        self._sent: deque[int] = deque(maxlen=_LOOK_BEHIND)
        self._shown: list[DecodedFrame] = []
        self._sort_depth = 0 if strict else _SORTED_FRAMES
        self._read_all = False
        self._ended = False
        self._failed_reads = 0
        self._walked = 0
        self._latest: int | None = None
        self._released: int | None = None
        self._offset = 0
        # A jump back by more than a second is a new beginning, by less it is jitter.
        self._second = round(1 / time_base_of(stream))
        self._step = ticks_per_frame(stream)
        self.decoded_packets = 0
        self.bad_packets = 0
        self.encrypted_packets = 0

    def packets(self) -> Iterator[VideoPacket]:
        """The packets from here on, not decoded."""
        yield from self._ahead
        self._ahead.clear()
        while (packet := self._read()) is not None:
            self._count_walked()
            yield packet

    def aim(self, wanted: Sequence[int]) -> None:
        """Tell which times (sorted ticks) will be looked at: other frames need not be made."""
        self._wanted = wanted

    def next(self, until: int | None = None) -> DecodedFrame | None:
        """The next frame on display, None after the last.

        With `until`, the last is the last one shown up to then: what only later frames need is not
        decoded, and afterwards only `seek` goes on.
        """
        while len(self._shown) <= self._sort_depth and not self._ended:
            is_enough = until is not None and self._has_sent_last(until)
            packet = None if is_enough else self._take()
            if packet is not None:
                self._decode(packet)
            if packet is None or self.bad_packets > self._limits.max_bad_packets:
                self._ended = True
                self._send(None)
        if not self._shown:
            return None
        shown = self._shown.pop(0)
        if self._released is not None and self._released > shown.pts:
            return DecodedFrame(self._released, shown.frame)
        self._released = shown.pts
        return shown

    def _has_sent_last(self, until: int) -> bool:
        """Whether the last frame shown at or before `until` is already in the decoder."""
        self._fill()
        # Packets come sorted by decoding time, and none is shown before it is decoded.
        last = self._ahead[-1].dts if self._ahead else None
        if not self._read_all and (last is None or last <= until):
            return False
        latest = max((pts for pts in self._sent if pts <= until), default=-math.inf)
        return not any(packet.pts is None or latest < packet.pts <= until for packet in self._ahead)

    def seek(self, target: int) -> None:
        """Go to the last keyframe shown at or before `target`, or raise UnreliableStreamError."""
        ask, step_back = target, self._second
        for _ in range(_MAX_SEEKS):
            try:
                self._container.seek(ask, stream=self._stream)
            except FOREIGN_ERRORS as error:
                raise UnreliableStreamError("the container cannot seek") from error
            self._restart()
            key = self._ahead[0] if self._find_keyframe() else None
            if key is not None and key.pts is not None and key.pts <= target:
                return
            # An index sorts by decoding time: before a reordered keyframe lies another group.
            before = key.dts if key is not None and key.dts is not None else ask
            ask = min(ask, before) - step_back
            step_back *= 2
        raise UnreliableStreamError("no keyframe found where the container said")

    def _restart(self) -> None:
        self._packets = self._container.demux(self._stream)
        self._ahead.clear()
        self._sent.clear()
        self._shown.clear()
        self._read_all = self._ended = False
        self._latest = self._released = None

    def _find_keyframe(self) -> bool:
        for _ in range(_MAX_PACKETS_TO_KEY):
            packet = self._read()
            if packet is None:
                return False
            if packet.is_keyframe:
                self._ahead.append(packet)
                return True
        return False

    def _read(self) -> VideoPacket | None:
        while not self._read_all:
            try:
                packet = next(self._packets)
            except (StopIteration, IndexError):
                # PyAV trips at the end over streams that damage made appear on the way.
                self._read_all = True
            except FOREIGN_ERRORS:
                # The demuxer can often go on behind a damaged place.
                self._packets = self._container.demux(self._stream)
                self._failed_reads += 1
                self._read_all = self._failed_reads > _MAX_FAILED_READS
                self._count_bad()
            else:
                # Empty packets mean the end to a decoder, wherever they come.
                if packet.size and (not self._keyframes_only or packet.is_keyframe):
                    return packet
        return None

    def _fill(self) -> None:
        while len(self._ahead) < self._depth and (packet := self._read()) is not None:
            self._ahead.append(packet)

    def _take(self) -> VideoPacket | None:
        self._fill()
        if not self._ahead:
            return None
        self._count_walked()
        return self._ahead.popleft()

    def _count_walked(self) -> None:
        self._walked += 1
        if self._walked > self._limits.max_walked_frames:
            raise VideoTooLong(f"more than {self._limits.max_walked_frames} frames to walk through")

    def _decode(self, packet: VideoPacket) -> None:
        if _is_encrypted(packet):
            self.encrypted_packets += 1
            if self._strict:
                raise UnreliableStreamError("an encrypted packet")
            return
        if self._skips:
            self._skip_unless(self._may_be_wanted(packet))
        if packet.pts is not None and not packet.is_discard:
            self._sent.append(packet.pts)
        self._send(packet)
        if self._keyframes_only:
            # Nothing will follow that could come before it: have it now.
            self._send(None)
            self._context.flush_buffers()

    def _skip_unless(self, is_wanted: bool) -> None:
        # PyAV looks the name up among all of them: for every packet that would be felt
        if is_wanted == self._skipping:
            self._context.skip_frame = "DEFAULT" if is_wanted else "NONREF"
            self._skipping = not is_wanted

    def _send(self, packet: VideoPacket | None) -> None:
        self.decoded_packets += packet is not None
        try:
            frames = self._context.decode(packet)
        except FOREIGN_ERRORS:
            self._count_bad()
            return
        for frame in frames:
            if self._strict and frame.is_corrupt:
                raise UnreliableStreamError("a frame with a damaged past")
            pts = self._time(frame)
            if pts is not None:
                self._put_in_order(DecodedFrame(pts, frame))

    def _put_in_order(self, shown: DecodedFrame) -> None:
        if self._shown and shown.pts < self._shown[-1].pts:
            insort(self._shown, shown, key=lambda other: other.pts)
        else:
            self._shown.append(shown)

    def _count_bad(self) -> None:
        self.bad_packets += 1
        if self._strict:
            raise UnreliableStreamError("a damaged packet")

    def _may_be_wanted(self, packet: VideoPacket) -> bool:
        """Whether this packet's frame can be the last one shown at a wanted time."""
        start = packet.pts
        if self._wanted is None or start is None or packet.is_discard:
            return True
        place = bisect_left(self._wanted, start)
        if place == len(self._wanted):
            return False
        end = self._wanted[place]
        # The packets ahead are asked first: far from a wanted time the next one already answers.
        # A loop, for it is done for every packet: a generator alone costs as much.
        for other in self._ahead:
            pts = other.pts
            if pts is not None and start < pts <= end and not other.is_discard:
                return False
        return not any(start < pts <= end for pts in self._sent)

    def _time(self, frame: VideoFrame) -> int | None:
        pts = frame.pts if frame.pts is not None else frame.dts
        latest = self._latest
        if self._strict and (pts is None or (latest is not None and pts < latest)):
            raise UnreliableStreamError("times are missing or run backwards")
        if pts is None:
            if latest is None and any(packet.pts is not None for packet in self._ahead):
                # Frames from before the file's own clock starts.
                return None
            pts = 0 if latest is None else latest + self._step
        else:
            pts += self._offset
            if latest is not None and pts < latest - self._second:
                # A recording that starts its clock again goes on after the one before.
                self._offset += latest + self._step - pts
                pts = latest + self._step
        self._latest = pts if latest is None else max(latest, pts)
        return pts


def _is_encrypted(packet: VideoPacket) -> bool:
    # Few packets have side data at all; PyAV looks the name up among forty for each that is asked.
    has_any = next(packet.iter_sidedata(), None) is not None
    return has_any and packet.has_sidedata("encryption_info")


def time_base_of(stream: VideoStream) -> Fraction:
    """Seconds per tick; a millisecond where the file does not say."""
    return stream.time_base or Fraction(1, 1000)


def ticks_per_frame(stream: VideoStream) -> int:
    """The usual distance of two frames in ticks, as the header has it; at least 1."""
    rate = stream.average_rate or stream.guessed_rate or 25
    return max(1, round(1 / (rate * time_base_of(stream))))
