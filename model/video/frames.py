"""Decode packets to frames in display order; count damage and skip frames that are not wanted."""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from model.video.container import FOREIGN_ERRORS, codec_name, raise_if_out_of_memory
from model.video.cost import count_decoded
from model.video.packets import (
    PacketReader,
    UnreliableStreamError,
    max_gap,
    ticks_per_frame,
    time_base_of,
)
from model.video.timing.display_times import VideoPacket
from model.video.values import VideoLimits

# With the packets ahead of the decoder, these show a frame's neighbours on either side.
_LOOK_BEHIND = 32
# Decoders whose frames marked as "no reference" can be skipped without changing any other frame.
# HEVC is not here: its mark only counts within one temporal layer.
_SKIPS_EXACTLY = {"h264", "mpeg1video", "mpeg2video", "vp8"}
# Damage can mix up the order by a few frames; this many are held back and sorted.
_SORTED_FRAMES = 8
# A seek costs about as much as decoding this many frames, because the decoder starts empty.
_SEEK_COST_FRAMES = 4


class DecodedFrame(NamedTuple):
    """A decoded frame and the time at which it is displayed, in ticks of the stream's clock."""

    pts: int
    frame: VideoFrame


class FrameReader:
    """Decodes one stream in display order, from the start or from where `seek` went.

    A strict reader trusts the file's timestamps, skips frames that are not wanted, and raises
    UnreliableStreamError where that could change a frame. A reader that is not strict decodes every
    frame and corrects the timestamps.

    `decoded_packets` and `encrypted_packets` are counts.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        limits: VideoLimits,
        *,
        strict: bool,
        keyframes_only: bool = False,
        counted_from: int | None = None,
    ) -> None:
        self.decoded_packets = 0
        self.encrypted_packets = 0
        self._packets = PacketReader(
            container, stream, limits, strict=strict, keyframes_only=keyframes_only
        )
        self._context = stream.codec_context
        self._max_bad_packets = limits.max_bad_packets
        self._strict = strict
        self._keyframes_only = keyframes_only
        self._skips = strict and not keyframes_only and codec_name(stream) in _SKIPS_EXACTLY
        self._wanted: Sequence[int] | None = None
        self._skipping = False
        self._sent: deque[int] = deque(maxlen=_LOOK_BEHIND)
        self._decoded: list[DecodedFrame] = []
        self._sort_depth = 0 if strict else _SORTED_FRAMES
        self._has_ended = False
        self._latest: int | None = None
        self._released: int | None = None
        self._offset = 0
        self._second = round(1 / time_base_of(stream))
        self._step = ticks_per_frame(stream)
        self._counted_from = counted_from
        self._max_gap = max_gap(stream)

    @property
    def bad_packets(self) -> int:
        """Number of damaged packets so far."""
        return self._packets.bad_packets

    def want(self, ticks: Sequence[int]) -> None:
        """Set the wanted times, sorted: frames that are displayed at none of them may be skipped.

        Without this all frames are wanted.
        """
        self._wanted = ticks

    def next(self, until: int | None = None) -> DecodedFrame | None:
        """Return the next frame in display order, None after the last.

        With `until` (ticks), the last is the frame displayed at that time: packets that only later
        frames need are not decoded, and only `seek` may be called after it.
        """
        while len(self._decoded) <= self._sort_depth and not self._has_ended:
            is_enough = until is not None and self._has_sent_last(until)
            packet = None if is_enough else self._packets.take()
            if packet is not None:
                self._decode(packet)
            if packet is None or self.bad_packets > self._max_bad_packets:
                self._has_ended = True
                self._send(None)
        if not self._decoded:
            return None
        decoded = self._decoded.pop(0)
        if self._released is not None and self._released > decoded.pts:
            return DecodedFrame(self._released, decoded.frame)
        self._released = decoded.pts
        return decoded

    def seek(self, target: int) -> None:
        """Go to the last keyframe displayed at or before `target` (ticks).

        Raises UnreliableStreamError where none is found.
        """
        self._packets.seek(target)
        self._sent.clear()
        self._decoded.clear()
        self._has_ended = False
        self._latest = self._released = None

    def _has_sent_last(self, until: int) -> bool:
        """Whether the last frame displayed at or before `until` is already in the decoder."""
        self._packets.fill()
        ahead = self._packets.ahead
        # Packets are sorted by decoding time, and no frame is displayed before it is decoded.
        last = ahead[-1].dts if ahead else None
        if not self._packets.has_ended and (last is None or last <= until):
            return False
        latest = max((pts for pts in self._sent if pts <= until), default=-math.inf)
        return not any(packet.pts is None or latest < packet.pts <= until for packet in ahead)

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
            # No later packet can be displayed before it, so the decoder need not hold it back.
            self._send(None)
            self._context.flush_buffers()

    def _skip_unless(self, is_wanted: bool) -> None:
        # Only on a change: PyAV looks the name up in an enumeration, which costs time per packet.
        if is_wanted == self._skipping:
            self._context.skip_frame = "DEFAULT" if is_wanted else "NONREF"
            self._skipping = not is_wanted

    def _send(self, packet: VideoPacket | None) -> None:
        self.decoded_packets += packet is not None
        if not self._skipping:
            count_decoded(self._context.width * self._context.height)
        try:
            frames = self._context.decode(packet)
        except FOREIGN_ERRORS as error:
            raise_if_out_of_memory(error)
            self._packets.count_bad()
            return
        for frame in frames:
            if self._strict and frame.is_corrupt:
                raise UnreliableStreamError("a frame that depends on damaged ones")
            pts = self._display_time(frame)
            if pts is not None:
                self._put_in_order(DecodedFrame(pts, frame))

    def _put_in_order(self, decoded: DecodedFrame) -> None:
        if self._decoded and decoded.pts < self._decoded[-1].pts:
            insort(self._decoded, decoded, key=lambda other: other.pts)
        else:
            self._decoded.append(decoded)

    def _may_be_wanted(self, packet: VideoPacket) -> bool:
        """Whether this packet's frame can be the last one displayed at a wanted time."""
        start = packet.pts
        if self._wanted is None or start is None or packet.is_discard:
            return True
        index = bisect_left(self._wanted, start)
        if index == len(self._wanted):
            return False
        end = self._wanted[index]
        # The packets ahead first: far from a wanted time the next one already decides. A loop,
        # because this runs for every packet and a generator alone would double its cost.
        for other in self._packets.ahead:
            pts = other.pts
            if pts is not None and start < pts <= end and not other.is_discard:
                return False
        return not any(start < pts <= end for pts in self._sent)

    def _display_time(self, frame: VideoFrame) -> int | None:
        if self._counted_from is not None:
            first = self._counted_from
            self._latest = first if self._latest is None else self._latest + self._step
            return self._latest
        pts = frame.pts if frame.pts is not None else frame.dts
        latest = self._latest
        if self._strict and (pts is None or (latest is not None and pts < latest)):
            raise UnreliableStreamError("timestamps are missing or decrease")
        if pts is None:
            if latest is None and any(packet.pts is not None for packet in self._packets.ahead):
                # The frame is from before the start of the file's own clock.
                return None
            pts = 0 if latest is None else latest + self._step
        else:
            pts += self._offset
            # A decrease of more than a second is a clock that restarts, of less is jitter.
            if latest is not None and not latest - self._second <= pts <= latest + self._max_gap:
                self._offset += latest + self._step - pts
                pts = latest + self._step
        self._latest = pts if latest is None else max(latest, pts)
        return pts


def displayed_frames(
    reader: FrameReader,
    first: DecodedFrame,
    wanted: Sequence[int],
    skipped_by_seek: Callable[[int, int], int] | None,
) -> Iterator[DecodedFrame]:
    """Yield the frame displayed at each wanted time (sorted ticks).

    `first` is the frame that the reader returned last. `skipped_by_seek(position, target)`
    estimates how many frames a seek from one time to another would not decode; where these are
    enough, the reader seeks. None means that the stream cannot be seeked. Raises
    UnreliableStreamError where a seek ends after its target.
    """

    def is_worthwhile(position: int, index: int) -> bool:
        if skipped_by_seek is None:
            return False
        return skipped_by_seek(position, wanted[index]) > _SEEK_COST_FRAMES

    current: DecodedFrame | None = first
    following: DecodedFrame | None = None
    has_ended = False
    seeks = is_worthwhile(first.pts, 0)
    for index, target in enumerate(wanted):
        if seeks:
            reader.seek(target)
            current, following, has_ended = None, None, False
        is_last = index + 1 == len(wanted)
        seeks = not is_last and is_worthwhile(target, index + 1)
        while not has_ended:
            if following is None:
                nothing_after = skipped_by_seek is not None and (is_last or seeks)
                following = reader.next(target if nothing_after else None)
                has_ended = following is None
            if following is not None:
                if following.pts > target:
                    break
                current, following = following, None
        if current is None:
            raise UnreliableStreamError("the first frame after a seek is too late")
        yield current


def _is_encrypted(packet: VideoPacket) -> bool:
    # Few packets have side data; looking a name up in PyAV's enumeration for each costs more.
    has_any = next(packet.iter_sidedata(), None) is not None
    return has_any and packet.has_sidedata("encryption_info")
