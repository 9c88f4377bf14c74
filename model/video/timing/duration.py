"""Measure a video's duration and find its keyframes, by its packets or its index.

A header's duration may be wrong, so it is used only where the packets agree with it.
"""

from bisect import bisect_right
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO

from av.container import InputContainer
from av.index import IndexEntries
from av.video.stream import VideoStream

from model.video.container import SEEKABLE, open_stream
from model.video.file_view import file_size
from model.video.packets import (
    PacketReader,
    UnreliableStreamError,
    header_rate,
    ticks_per_frame,
    time_base_of,
)
from model.video.timing.display_times import has_packed_frames, lacks_display_times
from model.video.timing.listing import count_frames, list_packets, whole_packets
from model.video.timing.timeline import Timeline, last_up_to
from model.video.values import VideoLimits

# Up to this size and length all packets are read (tens of milliseconds), else only the last ones.
_MAX_LISTED_BYTES = 16 << 20
_MAX_LISTED_FRAMES = 20_000
# Frames of the longest usual group of pictures: without an index, a seek may end that far before
# its target.
_MAX_USUAL_GROUP = 300
# Frames at either end of an index that are looked at.
_ENDS = 32


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
    index = stream.index_entries
    if len(index) == stream.frames > 0:
        count = bisect_right(range(len(index)), size, key=lambda i: index[i].pos + index[i].size)
        if count:
            timeline = _from_index(stream, count, start)
            is_cut = count < len(index)
            is_reordered = stream.codec_context.reorder_depth > 0
            if is_reordered and (is_cut or _is_uneven(index)) and _has_tail(container, stream):
                end = _end_of_last(file, limits, index[count - 1].timestamp, start)
                # Among the last frames of a cut file some are missing: their number tells no rate.
                frames = None if is_cut else timeline.frames
                timeline = timeline if end is None else replace(timeline, end=end, frames=frames)
            return timeline
    claimed = _claimed_ticks(container, stream)
    is_long = claimed is not None and claimed > _MAX_LISTED_FRAMES * ticks_per_frame(stream)
    if (
        claimed is not None
        and _has_tail(container, stream)
        and (is_long or size > _MAX_LISTED_BYTES)
    ):
        with (
            open_stream(file, limits) as (other, other_stream),
            suppress(UnreliableStreamError),
        ):
            packets = PacketReader(other, other_stream, limits, strict=False)
            packets.seek(start + claimed)
            return _from_tail(packets, stream, start)
    claimed_end = None
    # A file's duration is that of its longest stream.
    if claimed is not None and (stream.duration or len(container.streams) == 1):
        claimed_end = (stream.start_time or 0) + claimed
    with open_stream(file, limits) as (other, other_stream):
        if not lacks_display_times(other, other_stream):
            packets = PacketReader(other, other_stream, limits, strict=False)
            return list_packets(packets, stream, start, claimed_end)
        with suppress(UnreliableStreamError):
            packets = PacketReader(other, other_stream, limits, strict=True)
            return list_packets(packets, stream, start, claimed_end)
    with open_stream(file, limits) as (other, other_stream):
        packets = PacketReader(other, other_stream, limits, strict=False)
        return count_frames(start, sum(1 for _ in packets), ticks_per_frame(stream))


def _has_tail(container: InputContainer, stream: VideoStream) -> bool:
    """Whether a seek finds the last packets, and their times say when they are displayed."""
    # A packed B-frame comes at most two frames after its time, which does not move the end.
    is_timed = has_packed_frames(container, stream) or not lacks_display_times(container, stream)
    return container.format.name in SEEKABLE and is_timed


def _claimed_ticks(container: InputContainer, stream: VideoStream) -> int | None:
    if stream.duration:
        return stream.duration
    if container.duration:
        return round(container.duration / 1_000_000 / time_base_of(stream))
    return None


def _is_uneven(index: IndexEntries) -> bool:
    """Whether frames at the beginning or the end last differently long."""
    size = len(index)
    gaps = [
        index[entry + 1].timestamp - index[entry].timestamp
        for entry in {*range(min(_ENDS, size - 1)), *range(max(0, size - 1 - _ENDS), size - 1)}
    ]
    # Clocks round to a tick.
    return bool(gaps) and max(gaps) > 1.5 * min(gaps) + 1


def _end_of_last(file: BinaryIO, limits: VideoLimits, last: int, start: int) -> int | None:
    """Return when the last frame ends, of which a packet is decoded at `last`.

    An index does not tell, because frames are not displayed in the order of decoding. None where a
    seek does not find it.
    """
    with (
        open_stream(file, limits) as (container, stream),
        suppress(UnreliableStreamError),
    ):
        packets = PacketReader(container, stream, limits, strict=False)
        packets.seek(max(start, last))
        return _from_tail(packets, stream, start).end
    return None


def _from_index(stream: VideoStream, count: int, start: int) -> Timeline:
    """Use the first `count` entries of a complete index (MP4, AVI), those the file still holds."""
    index = stream.index_entries
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


def _from_tail(packets: PacketReader, stream: VideoStream, start: int) -> Timeline:
    step = ticks_per_frame(stream)
    latest, end = start, start + 1
    times = []
    for packet in whole_packets(packets):
        if packet.pts is None or packet.is_discard:
            continue
        times.append(packet.pts)
        # The length of a reordered packet may be that of another frame.
        if packet.pts >= latest:
            latest, end = packet.pts, packet.pts + (packet.duration or step)
    rate = None
    if len(times) > 1 and latest > min(times) and header_rate(stream) is None:
        rate = (len(times) - 1) / float((latest - min(times)) * time_base_of(stream))

    # The index of a transport stream lists only what earlier seeks have read.
    has_index = stream.container.format.name != "mpegts"
    entries = stream.index_entries if has_index else ()
    keys = sorted(entry.timestamp for entry in entries if entry.is_keyframe)

    def skipped_by_seek(index: IndexEntries, position: int, target: int) -> int:
        by_rate = int((target - position) // step) - _MAX_USUAL_GROUP
        # Matroska's index lists keyframes only, and is read by the first seek.
        entry = index.search_timestamp(target) if has_index else -1
        if entry < 0:
            return by_rate
        by_index = int((index[entry].timestamp - position) // step)
        return by_index if index[-1].timestamp >= target else max(by_index, by_rate)

    return Timeline(
        end, None, skipped_by_seek, lambda _, target: last_up_to(keys, target), rate=rate
    )
