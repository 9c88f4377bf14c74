"""Decoders with the same task: decode the frames that `/classify` uses, in one thread.

Each function prepares a video and returns the unit of work to repeat. Run by
`benchmarks.harness.worker_group`.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from benchmarks.harness.checkpoint import checkpoint_config
from model.video.reader import open_video


def times_of(path: str) -> list[float]:
    """The times, in seconds, of the frames that the shipped checkpoint uses."""
    sampling, _ = checkpoint_config()
    with Path(path).open("rb") as file, open_video(file) as video:
        times: list[float] = video.times(sampling).ravel().tolist()
    return times


def kinolex(path: str) -> Callable[[], object]:
    """Decode as a decode process of the service does."""
    sampling, short_side = checkpoint_config()

    def unit() -> object:
        with Path(path).open("rb") as file, open_video(file) as video:
            return video.decode(video.times(sampling).ravel(), short_side=short_side)

    return unit


@dataclass(frozen=True, slots=True)
class _Group:
    """A group of pictures that has wanted frames.

    `key` is the timestamp of its keyframe, `packets` the number of packets up to the last wanted
    frame, `wanted` the timestamps of the wanted frames; timestamps are in ticks of the stream.
    """

    key: int
    packets: int
    wanted: frozenset[int]


def _must_decode(path: str, wanted_seconds: Sequence[float]) -> list[_Group]:
    """The packets that every decoder has to decode, found from the file's packets alone."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        seconds_per_tick = float(stream.time_base or 1)
        listed = [
            (packet.pts, packet.is_keyframe)
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None
        ]
    shown = sorted(pts for pts, _ in listed)
    ticks = [shown[0] + int(seconds / seconds_per_tick + 1e-6) for seconds in wanted_seconds]
    wanted = {shown[bisect_right(shown, tick) - 1] for tick in ticks}
    starts = [position for position, (_, is_keyframe) in enumerate(listed) if is_keyframe]
    groups = []
    for start, end in zip(starts, [*starts[1:], len(listed)], strict=True):
        times = [pts for pts, _ in listed[start:end]]
        inside = [position for position, pts in enumerate(times) if pts in wanted]
        if inside:
            here = frozenset(times[position] for position in inside)
            groups.append(_Group(times[0], inside[-1] + 1, here))
    return groups


def libavcodec(path: str) -> Callable[[], object]:
    """The bound: decode only the packets that are needed and convert no frame.

    Decoding goes from each keyframe that has wanted frames after it to the last of these frames.
    The decoder skips frames that no other frame refers to.
    """
    return decode_at(path, times_of(path))


def decode_at(path: str, times: Sequence[float]) -> Callable[[], object]:
    """Like `libavcodec`, for the frames at these times, in seconds and in order."""
    groups = _must_decode(path, times)

    def unit() -> int:
        found = 0
        with av.open(path) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            context.thread_count = 1
            for group in groups:
                container.seek(group.key, stream=stream)
                left = group.packets
                for packet in container.demux(stream):
                    if left == group.packets and packet.pts != group.key:
                        continue
                    context.skip_frame = "DEFAULT" if packet.pts in group.wanted else "NONREF"
                    found += sum(frame.pts in group.wanted for frame in context.decode(packet))
                    left -= 1
                    if not left:
                        break
                found += sum(frame.pts in group.wanted for frame in context.decode(None))
        if found != sum(len(group.wanted) for group in groups):
            raise RuntimeError(f"{found} frames found, which are not the wanted ones")
        return found

    return unit


def opencv(path: str) -> Callable[[], object]:
    """OpenCV at its fastest: frames in between are grabbed but not converted; it stops early."""
    import cv2

    _, short_side = checkpoint_config()
    times = times_of(path)

    def unit() -> int:
        video = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        rate = video.get(cv2.CAP_PROP_FPS)
        wanted = sorted({int(seconds * rate) for seconds in times})
        number, kept = 0, []
        for position in wanted:
            while number <= position:
                video.grab()
                number += 1
            found, frame = video.retrieve()
            if not found:
                raise RuntimeError(f"frame {position} was not found")
            scale = short_side / min(frame.shape[:2])
            kept.append(cv2.resize(frame, None, fx=scale, fy=scale))
        video.release()
        return len(kept)

    return unit


def torchcodec(path: str) -> Callable[[], object]:
    """torchcodec as its documentation recommends for a few frames of a video."""
    from torch.nn import functional
    from torchcodec.decoders import VideoDecoder

    _, short_side = checkpoint_config()
    times = times_of(path)

    def unit() -> object:
        decoder = VideoDecoder(path, num_ffmpeg_threads=1, seek_mode="approximate")
        frames = decoder.get_frames_played_at(times).data
        scale = short_side / min(frames.shape[-2:])
        return functional.interpolate(frames, scale_factor=scale, mode="bilinear")

    return unit
