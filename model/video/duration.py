"""How long a video really is, and how many frames a seek would save.

Headers lie: a duration is believed only where the file's own packets bear it out.
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

from model.video.container import VideoLimits, file_size, open_stream
from model.video.frames import FrameReader, UnreliableStreamError, ticks_per_frame, time_base_of

# Up to this size and length all packets are listed (tens of milliseconds); beyond, the last.
_LISTED_BYTES = 16 << 20
_LISTED_FRAMES = 20_000
# Longest usual group of pictures: without an index a seek may land that far before its target.
_USUAL_GROUP = 300


@dataclass(frozen=True, slots=True)
class Timeline:
    """Facts in the stream's ticks, taken from packets; `frames` is None where not counted.

    `skips(index, position, target)` is about how many frames would not be decoded when seeking
    from the one to the other; `keyframe(index, target)` is about when the last keyframe up to the
    target is shown, None where that is not known. A video that `restarts` its clock cannot be
    seeked by them.
    """

    end: int
    frames: int | None
    skips: Callable[[IndexEntries, int, int], int]
    keyframe: Callable[[IndexEntries, int], int | None]
    restarts: bool = False


def read_timeline(
    file: BinaryIO,
    limits: VideoLimits,
    container: InputContainer,
    stream: VideoStream,
    start: int,
) -> Timeline:
    """The timeline of an opened stream whose first frame is shown at `start`.

    Reads packets with a container of its own: the given one keeps its place.
    """
    size = file_size(file)
    if len(stream.index_entries) == stream.frames > 0:
        timeline = _from_index(stream, size, start)
        if timeline is not None:
            return timeline
    claimed = _claimed_ticks(container, stream)
    is_long = claimed is not None and claimed > _LISTED_FRAMES * ticks_per_frame(stream)
    if claimed is not None and (is_long or size > _LISTED_BYTES):
        with (
            open_stream(file, limits) as (other, other_stream),
            suppress(UnreliableStreamError),
        ):
            reader = FrameReader(other, other_stream, limits, strict=False)
            reader.seek(start + claimed)
            return _from_tail(reader, stream, start)
    with open_stream(file, limits) as (other, other_stream):
        return _from_listing(FrameReader(other, other_stream, limits, strict=False), stream, start)


def _claimed_ticks(container: InputContainer, stream: VideoStream) -> int | None:
    if stream.duration:
        return stream.duration
    if container.duration:
        return round(container.duration / 1_000_000 / time_base_of(stream))
    return None


def _from_index(stream: VideoStream, size: int, start: int) -> Timeline | None:
    """From a complete index (MP4, AVI), less what a truncated file no longer holds."""
    index = stream.index_entries
    count = bisect_right(range(len(index)), size, key=lambda i: index[i].pos + index[i].size)
    if count == 0:
        return None
    step = ticks_per_frame(stream)
    first, last = index[0], index[count - 1]
    # The first entry is the first frame, unless an edit list hides it.
    lead = stream.codec_context.reorder_depth * step
    if not first.is_discard:
        lead = max(0, start - first.timestamp)
    last_shown = max(start, last.timestamp + lead)
    end = last_shown + (last_shown - start) // (count - 1) if count > 1 else last_shown + step
    claimed = (stream.start_time or 0) + (stream.duration or 0)
    # Only the header knows how long the last frame stays; longer than all before is a lie.
    second = round(1 / time_base_of(stream))
    if count == len(index) and last_shown < claimed <= last_shown + max(second, end - start):
        end = claimed

    def skips(index: IndexEntries, position: int, target: int) -> int:
        key = index.search_timestamp(target - lead)
        return int(key - index.search_timestamp(position - lead, any_frame=True))

    def keyframe(index: IndexEntries, target: int) -> int | None:
        place = index.search_timestamp(target - lead)
        return index[place].timestamp + lead if place >= 0 else None

    # An edit list's hidden entries would be counted as frames.
    frames = None if first.is_discard else count
    return Timeline(max(end, start + 1), frames, skips, keyframe)


def _from_listing(reader: FrameReader, stream: VideoStream, start: int) -> Timeline:
    step, second = ticks_per_frame(stream), round(1 / time_base_of(stream))
    times: list[int] = []
    keys: list[int] = []
    count, offset, latest, end = 0, 0, start, start
    decoded_at: int | None = None
    for packet in reader.packets():
        pts = packet.pts if packet.pts is not None else packet.dts
        count += not packet.is_discard
        if pts is None or packet.is_discard:
            continue
        if packet.dts is not None:
            if decoded_at is not None and packet.dts < decoded_at - second:
                # A recording that starts its clock again; frames are mended the same way.
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

    def skips(_: IndexEntries, position: int, target: int) -> int:
        place = bisect_right(keys, target) - 1
        return bisect_left(times, keys[place]) - bisect_right(times, position) if keys else 0

    keyframe = partial(_last_up_to, keys)
    return Timeline(max(end, start + 1), count, skips, keyframe, restarts=offset != 0)


def _from_tail(reader: FrameReader, stream: VideoStream, start: int) -> Timeline:
    step = ticks_per_frame(stream)
    end = start + 1
    for packet in reader.packets():
        if packet.pts is not None and not packet.is_discard:
            end = max(end, packet.pts + (packet.duration or step))

    # The index of a transport stream is where earlier seeks happened to look.
    has_index = stream.container.format.name != "mpegts"
    entries = stream.index_entries if has_index else ()
    keys = [entry.timestamp for entry in entries if entry.is_keyframe]

    def skips(index: IndexEntries, position: int, target: int) -> int:
        by_rate = int((target - position) // step) - _USUAL_GROUP
        # Matroska's index holds keyframes only, and is read with the first seek.
        place = index.search_timestamp(target) if has_index else -1
        if place < 0:
            return by_rate
        by_index = int((index[place].timestamp - position) // step)
        return by_index if index[-1].timestamp >= target else max(by_index, by_rate)

    return Timeline(end, None, skips, partial(_last_up_to, sorted(keys)))


def _last_up_to(keys: Sequence[int], _: IndexEntries, target: int) -> int | None:
    place = bisect_right(keys, target)
    return keys[place - 1] if place else None
