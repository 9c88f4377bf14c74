"""Measure a stream's timeline by reading all of its packets."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from av.index import IndexEntries
from av.video.stream import VideoStream

from model.video.packets import PacketReader, max_gap, ticks_per_frame, time_base_of
from model.video.timing.display_times import VideoPacket
from model.video.timing.timeline import Timeline, last_up_to

# Containers that store the length of each frame; in others a packet's is FFmpeg's guess.
_HAS_LENGTHS = {"gif", "apng", "mov,mp4,m4a,3gp,3g2,mj2"}
# A stream has a constant rate where this share of its frames follow each other at one.
_CONSTANT_SHARE = 0.8


@dataclass(slots=True)
class _Listing:
    """The times in ticks of all frames and of the keyframes among them, as the packets tell them.

    `last_length` is that of the frame displayed last, and `length` that of all frames together, 0
    where the file does not say. `count` also counts packets without a time.
    """

    times: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    count: int = 0
    last_length: int = 0
    length: int = 0
    has_jumped: bool = False


def list_packets(
    packets: PacketReader, stream: VideoStream, start: int, claimed_end: int | None
) -> Timeline:
    """Read the timeline of a stream whose first frame is displayed at `start` (ticks).

    `claimed_end` is the end by the header, used where the last frame's length is not known better.
    """
    step = ticks_per_frame(stream)
    found = _read(packets, stream, start, step)
    times = sorted(time for time in found.times if time >= start)
    # A program stream may tell the time of the first of several small frames only.
    if not times or found.count > 2 * len(found.times):
        return count_frames(start, found.count, step)
    if len(times) > 1 and times[0] == times[-1]:
        return count_frames(start, len(times), step)
    keys = sorted(found.keys)

    def skipped_by_seek(_: IndexEntries, position: int, target: int) -> int:
        if not keys:
            return 0
        key = keys[bisect_right(keys, target) - 1]
        return bisect_left(times, key) - bisect_right(times, position)

    end = times[-1] + (found.last_length or _last_length(times, step, claimed_end))
    seconds_per_tick = float(time_base_of(stream))
    if stream.container.format.name not in _HAS_LENGTHS:
        rate = _constant_rate(times, seconds_per_tick)
    else:
        # The frames that a cut file lacks lie between the last ones.
        is_holed = 0 < found.length < end - start
        rate = len(found.times) / (found.length * seconds_per_tick) if is_holed else None
    return Timeline(
        max(end, start + 1),
        len(times),
        skipped_by_seek,
        lambda _, target: last_up_to(keys, target),
        rate=rate,
        clock="restarting" if found.has_jumped else "stored",
    )


def count_frames(start: int, count: int, step: int) -> Timeline:
    """Make the timeline of `count` frames without times of their own, `step` ticks apart."""
    return Timeline(
        start + max(1, count * step),
        count,
        lambda *_: 0,
        lambda *_: None,
        clock="counted",
    )


def whole_packets(packets: PacketReader) -> Iterator[VideoPacket]:
    """Yield the packets without the last one if the file ends within it: it shows nothing."""
    before: VideoPacket | None = None
    is_first = True
    for packet in packets:
        if before is not None:
            is_first = False
            yield before
        before = packet
    if before is not None and (is_first or not before.is_corrupt):
        yield before


def _read(packets: PacketReader, stream: VideoStream, start: int, step: int) -> _Listing:
    second, longest = round(1 / time_base_of(stream)), max_gap(stream)
    has_lengths = stream.container.format.name in _HAS_LENGTHS
    found = _Listing()
    offset, latest = 0, start
    decoded_at: int | None = None
    for packet in whole_packets(packets):
        pts = packet.pts if packet.pts is not None else packet.dts
        found.count += not packet.is_discard
        if pts is None or packet.is_discard:
            continue
        # A clock that jumps: `FrameReader` corrects its frames' times in the same way.
        falls = (
            decoded_at is not None and packet.dts is not None and (packet.dts < decoded_at - second)
        )
        if falls or (found.times and pts + offset > latest + longest):
            offset = latest + step - pts
            found.has_jumped = True
        decoded_at = packet.dts if packet.dts is not None else decoded_at
        pts += offset
        length = (packet.duration or 0) if has_lengths else 0
        found.length += length
        if pts >= latest:
            latest, found.last_length = pts, length
        found.times.append(pts)
        if packet.is_keyframe:
            found.keys.append(pts)
    return found


def _last_length(times: list[int], step: int, claimed_end: int | None) -> int:
    """Compute the length of the last frame: as the header says, if plausible, or as usual."""
    usual = int(np.median(np.diff(times))) if len(times) > 1 else step
    claimed = 0 if claimed_end is None else claimed_end - times[-1]
    return claimed if 0 < claimed <= 2 * max(usual, step) else usual or step


def _constant_rate(times: list[int], seconds_per_tick: float) -> float | None:
    """Return the rate of a stream of constant rate, also where frames are missing, or None."""
    gaps = np.diff(times)
    if not gaps.size:
        return None
    usual = np.median(gaps)
    # Clocks round to a tick; where a tick is a frame, one more is a missing frame.
    regular = gaps[np.abs(gaps - usual) <= min(max(1.0, usual / 50), usual / 2)]
    if regular.size < _CONSTANT_SHARE * gaps.size or usual <= 0:
        return None
    return 1 / (float(regular.mean()) * seconds_per_tick)
