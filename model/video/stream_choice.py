"""Choose which of a file's video streams is the video: the one that moves."""

from collections import Counter
from collections.abc import Sequence

from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from model.errors import NoVideoStream

_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
# Codecs of cover pictures and previews beside a film.
_PICTURE_CODECS = {"mjpeg", "png", "gif", "webp"}
# Packets that are read to see which streams have more than one.
_MAX_PACKETS = 2_000


def video_streams(container: InputContainer) -> list[VideoStream]:
    """Return the streams that may be the video. Raises NoVideoStream if there are none."""
    streams = [s for s in container.streams.video if not s.disposition & _NOT_THE_VIDEO]
    if not streams:
        raise NoVideoStream("the file contains no video stream")
    return streams


def best_stream(
    streams: Sequence[VideoStream],
    moving: set[int],
    codecs: Sequence[str | None],
    allowed: set[str],
) -> VideoStream:
    """Choose one of several streams.

    A stream that moves (its index is in `moving`) is better than a picture, then one with an
    allowed codec, then one that is no series of pictures, then the file's own choice, then the
    first. `codecs` are FFmpeg's names of the streams' codecs.
    """

    def quality(position: int) -> tuple[bool, bool, bool, bool]:
        stream, codec = streams[position], codecs[position]
        return (
            stream.index in moving,
            codec in allowed,
            codec not in _PICTURE_CODECS,
            bool(stream.disposition & Disposition.default),
        )

    return streams[max(range(len(streams)), key=quality)]


def moving_streams(container: InputContainer, streams: Sequence[VideoStream]) -> set[int]:
    """Read packets until each stream has two, or for a while; return the indexes of those streams.

    The container is not at its start afterwards.
    """
    known = {stream.index for stream in streams if stream.frames > 1}
    if all(stream.frames for stream in streams):
        return known
    counts: Counter[int] = Counter()
    for number, packet in enumerate(container.demux(list(streams))):
        counts[packet.stream_index] += bool(packet.size)
        is_seen = all(counts[stream.index] > 1 for stream in streams)
        if is_seen or number > _MAX_PACKETS:
            break
    return known | {index for index, count in counts.items() if count > 1}
