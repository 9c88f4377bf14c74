"""Measure a video's duration and find its keyframes, by its packets or its index.

A header's duration may be wrong, so it is used only where the packets agree with it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from av.container import InputContainer
from av.index import IndexEntries
from av.video.stream import VideoStream

from model.video.container import open_stream
from model.video.file_view import file_size
from model.video.packets import (
    PacketReader,
    UnreliableStreamError,
    ticks_per_frame,
    time_base_of,
)
from model.video.values import VideoLimits

# Up to this size and length all packets are read (tens of milliseconds), else only the last ones.
_MAX_LISTED_BYTES = 16 << 20
_MAX_LISTED_FRAMES = 20_000
# Frames of the longest usual group of pictures: without an index, a seek may end that far before
# its target.
_MAX_USUAL_GROUP = 300


@dataclass(frozen=True, slots=True)
class Timeline:
    """The end of a stream, and estimates of what a seek saves. Times are ticks of its clock.

    `end` is the time at which the last frame ends; `frames` is the number of frames, None where
    they were not counted. `skipped_by_seek(index, position, target)` estimates how many frames a
    seek from `position` to `target` would not decode. `keyframe(index, target)` estimates when the
    last keyframe at or before `target` is displayed, None where that is unknown. Neither applies to
    a stream that `restarts` its clock.
    """

    end: int
    frames: int | None
    skipped_by_seek: Callable[[IndexEntries, int, int], int]
    keyframe: Callable[[IndexEntries, int], int | None]
    restarts: bool = False


def read_timeline(
    file: BinaryIO,
    limits: VideoLimits,
    container: InputContainer,
    stream: VideoStream,
    start: int,
) -> Timeline:
    """Read the timeline of an open stream whose first frame is displayed at `start` (ticks).

    Packets are read through another container, so that the given one keeps its position.
    """
    size = file_size(file)
    if len(stream.index_entries) == stream.frames > 0:
        timeline = _from_index(stream, size, start)
        if timeline is not None:
            return timeline
    claimed = _claimed_ticks(container, stream)
    is_long = claimed is not None and claimed > _MAX_LISTED_FRAMES * ticks_per_frame(stream)
    if claimed is not None and (is_long or size > _MAX_LISTED_BYTES):
        with (
            open_stream(file, limits) as (other, other_stream),
            suppress(UnreliableStreamError),
        ):
            packets = PacketReader(other, other_stream, limits, strict=False)
            packets.seek(start + claimed)
            return _from_tail(packets, stream, start)
    with open_stream(file, limits) as (other, other_stream):
        packets = PacketReader(other, other_stream, limits, strict=False)
        return _from_listing(packets, stream, start)


def _claimed_ticks(container: InputContainer, stream: VideoStream) -> int | None:
    if stream.duration:
        return stream.duration
    if container.duration:
        return round(container.duration / 1_000_000 / time_base_of(stream))
    return None


def _from_index(stream: VideoStream, size: int, start: int) -> Timeline | None:
    """Use a complete index (MP4, AVI) without the entries that a truncated file no longer holds."""
    index = stream.index_entries
    count = bisect_right(range(len(index)), size, key=lambda i: index[i].pos + index[i].size)
    if count == 0:
        return None
    step = ticks_per_frame(stream)
    first, last = index[0], index[count - 1]
    # The first entry is the first frame, unless an edit list hides that.
    lead = stream.codec_context.reorder_depth * step
    if not first.is_discard:
        lead = max(0, start - first.timestamp)
    last_shown = max(start, last.timestamp + lead)
    end = last_shown + (last_shown - start) // (count - 1) if count > 1 else last_shown + step
    claimed = (stream.start_time or 0) + (stream.duration or 0)
    # Only the header knows the last frame's duration; one longer than the rest is wrong.
    second = round(1 / time_base_of(stream))
    if count == len(index) and last_shown < claimed <= last_shown + max(second, end - start):
        end = claimed

    def skipped_by_seek(index: IndexEntries, position: int, target: int) -> int:
        key = index.search_timestamp(target - lead)
        return int(key - index.search_timestamp(position - lead, any_frame=True))

    def keyframe(index: IndexEntries, target: int) -> int | None:
        entry = index.search_timestamp(target - lead)
        return index[entry].timestamp + lead if entry >= 0 else None

    # Entries that an edit list hides would be counted as frames.
    frames = None if first.is_discard else count
    return Timeline(max(end, start + 1), frames, skipped_by_seek, keyframe)


def _from_listing(packets: PacketReader, stream: VideoStream, start: int) -> Timeline:
    step, second = ticks_per_frame(stream), round(1 / time_base_of(stream))
    times: list[int] = []
    keys: list[int] = []
    count, offset, latest, end = 0, 0, start, start
    decoded_at: int | None = None
    for packet in packets:
        pts = packet.pts if packet.pts is not None else packet.dts
        count += not packet.is_discard
        if pts is None or packet.is_discard:
            continue
        if packet.dts is not None:
            if decoded_at is not None and packet.dts < decoded_at - second:
                # The clock restarts; `FrameReader` corrects its frames' times in the same way.
                offset = latest + step - pts
            decoded_at = packet.dts
        latest = max(latest, pts + offset)
        end = max(end, pts + offset + (packet.duration or step))
        times.append(pts + offset)
        if packet.is_keyframe:
            keys.append(pts + offset)
    if not times:
        end = start + count * step
    times.sort()
    keys.sort()

    def skipped_by_seek(_: IndexEntries, position: int, target: int) -> int:
        if not keys:
            return 0
        key = keys[bisect_right(keys, target) - 1]
        return bisect_left(times, key) - bisect_right(times, position)

    keyframe = partial(_last_up_to, keys)
    return Timeline(max(end, start + 1), count, skipped_by_seek, keyframe, restarts=offset != 0)


def _from_tail(packets: PacketReader, stream: VideoStream, start: int) -> Timeline:
    step = ticks_per_frame(stream)
    end = start + 1
    for packet in packets:
        if packet.pts is not None and not packet.is_discard:
            end = max(end, packet.pts + (packet.duration or step))

    # The index of a transport stream lists only what earlier seeks have read.
    has_index = stream.container.format.name != "mpegts"
    entries = stream.index_entries if has_index else ()
    keys = [entry.timestamp for entry in entries if entry.is_keyframe]

    def skipped_by_seek(index: IndexEntries, position: int, target: int) -> int:
        by_rate = int((target - position) // step) - _MAX_USUAL_GROUP
        # Matroska's index lists keyframes only, and is read by the first seek.
        entry = index.search_timestamp(target) if has_index else -1
        if entry < 0:
            return by_rate
        by_index = int((index[entry].timestamp - position) // step)
        return by_index if index[-1].timestamp >= target else max(by_index, by_rate)

    return Timeline(end, None, skipped_by_seek, partial(_last_up_to, sorted(keys)))


def _last_up_to(keys: Sequence[int], _: IndexEntries, target: int) -> int | None:
    count = bisect_right(keys, target)
    return keys[count - 1] if count else None
