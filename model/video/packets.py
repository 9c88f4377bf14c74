"""Read a stream's packets, with some of them ahead of the decoder, and seek to keyframes."""

import math
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

from av.container import InputContainer
from av.video.stream import VideoStream

from model.errors import VideoTooLong
from model.video.container import FOREIGN_ERRORS, RAW_FORMATS, raise_if_out_of_memory
from model.video.cost import check_cost
from model.video.timing.display_times import VideoPacket, lacks_display_times, with_display_times
from model.video.values import VideoLimits

# Packets read ahead of the decoder. No allowed codec reorders by more than 16 frames, so these show
# every neighbour of a frame in display order.
_LOOK_AHEAD = 16
_MAX_FAILED_READS = 32
_MAX_PACKETS_TO_KEY = 3_000
_MAX_SEEKS = 8
# Their header's average rate counts fields, or is FFmpeg's default.
_RATE_IS_GUESSED = RAW_FORMATS | {"avi"}
# Frames per second; cameras that take more write an average into the header.
_MAX_GUESSED_RATE = 240
# Frames per second of a stream that does not say.
DEFAULT_RATE = 25


class UnreliableStreamError(Exception):
    """Seeking or skipping frames cannot be trusted on this file: read all of it in order."""


class PacketReader:
    """Reads one stream's packets, from the start or from the keyframe that `seek` found.

    `ahead` contains the packets that were read but not taken; after `fill` it is empty only at the
    end of the stream. `has_ended` is true when no packets follow those in `ahead`. Damaged packets
    are counted in `bad_packets`; `strict` readers raise UnreliableStreamError instead. With
    `keyframes_only` other packets are left out.
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
        self.ahead: deque[VideoPacket] = deque()
        self.has_ended = False
        self.bad_packets = 0
        self._container = container
        self._stream = stream
        self._limits = limits
        self._strict = strict
        self._keyframes_only = keyframes_only
        self._demuxed = self._demux()
        # A keyframe's neighbours are a whole group of pictures away: too far to look ahead.
        self._depth = 1 if keyframes_only else _LOOK_AHEAD
        self._failed_reads = 0
        self._walked = 0

    def __iter__(self) -> Iterator[VideoPacket]:
        """Take all packets from here on, reading none ahead. Raises VideoTooLong as `take` does."""
        while (packet := self.ahead.popleft() if self.ahead else self._read()) is not None:
            self._count_walked()
            yield packet

    def fill(self) -> None:
        """Read packets ahead until there are enough of them, or the stream ends."""
        while len(self.ahead) < self._depth and (packet := self._read()) is not None:
            self.ahead.append(packet)

    def take(self) -> VideoPacket | None:
        """Take the next packet, None at the end. Raises VideoTooLong over `max_walked_frames`."""
        self.fill()
        if not self.ahead:
            return None
        self._count_walked()
        return self.ahead.popleft()

    def seek(self, target: int) -> None:
        """Go to the last keyframe displayed at or before `target` (ticks).

        Raises UnreliableStreamError where none is found.
        """
        step_back = round(1 / time_base_of(self._stream))
        position = target
        for _ in range(_MAX_SEEKS):
            try:
                self._container.seek(position, stream=self._stream)
            except FOREIGN_ERRORS as error:
                raise UnreliableStreamError("the container cannot seek") from error
            self._demuxed = self._demux()
            self.ahead.clear()
            self.has_ended = False
            key = self._read_keyframe()
            if key is not None and key.pts is not None and key.pts <= target:
                self.ahead.append(key)
                return
            # An index sorts by decoding time: before a reordered keyframe lies another group.
            before = key.dts if key is not None and key.dts is not None else position
            position = min(position, before) - step_back
            if self._container.format.name == "avi":
                # It finds nothing before its first packet; others go to that.
                position = max(0, position)
            step_back *= 2
        raise UnreliableStreamError("no keyframe found where the container said")

    def count_bad(self) -> None:
        """Count a damaged packet. Strict readers raise UnreliableStreamError."""
        self.bad_packets += 1
        if self._strict:
            raise UnreliableStreamError("a damaged packet")

    def _demux(self) -> Iterator[VideoPacket]:
        packets = self._container.demux(self._stream)
        if self._strict and lacks_display_times(self._container, self._stream):
            return with_display_times(packets, self._stream, ticks_per_frame(self._stream))
        return packets

    def _read_keyframe(self) -> VideoPacket | None:
        for _ in range(_MAX_PACKETS_TO_KEY):
            packet = self._read()
            if packet is None or packet.is_keyframe:
                return packet
        return None

    def _read(self) -> VideoPacket | None:
        while not self.has_ended:
            check_cost()
            try:
                packet = next(self._demuxed)
            except (StopIteration, IndexError):
                # PyAV raises IndexError at the end where damage made streams appear on the way.
                self.has_ended = True
            except FOREIGN_ERRORS as error:
                raise_if_out_of_memory(error)
                # The demuxer can often continue behind the damage.
                self._demuxed = self._demux()
                self._failed_reads += 1
                self.has_ended = self._failed_reads > _MAX_FAILED_READS
                self.count_bad()
            else:
                # A decoder interprets an empty packet as the end of the stream.
                if packet.size and (not self._keyframes_only or packet.is_keyframe):
                    return packet
        return None

    def _count_walked(self) -> None:
        self._walked += 1
        if self._walked > self._limits.max_walked_frames:
            raise VideoTooLong(
                f"more than {self._limits.max_walked_frames} frames must be read to find the "
                "wanted ones; cut the video into shorter files"
            )


def time_base_of(stream: VideoStream) -> Fraction:
    """Return the seconds per tick of the stream's clock; 1/1000 where the file does not say."""
    return stream.time_base or Fraction(1, 1000)


def max_gap(stream: VideoStream) -> float:
    """Return the longest time between two frames, in ticks, after which the clock has jumped.

    It is that of FFmpeg's player: 10 s in program streams, where the clock may restart anywhere.
    """
    is_program_stream = stream.container.format.name == "mpeg"
    return float(10 / time_base_of(stream)) if is_program_stream else math.inf


def header_rate(stream: VideoStream) -> Fraction | None:
    """Return the frames per second by the header, None where it does not say.

    Where frames come at uneven times, FFmpeg guesses the rate of the clock: 1000 in WebM of
    browsers.
    """
    average, guessed = (
        rate if rate and rate > 0 else None for rate in (stream.average_rate, stream.guessed_rate)
    )
    if stream.container.format.name in _RATE_IS_GUESSED and guessed:
        return guessed
    return average or (guessed if guessed and guessed <= _MAX_GUESSED_RATE else None)


def ticks_per_frame(stream: VideoStream) -> int:
    """Return the usual ticks between two frames by the header's frame rate; at least 1."""
    rate = header_rate(stream) or DEFAULT_RATE
    return max(1, round(1 / (rate * time_base_of(stream))))
