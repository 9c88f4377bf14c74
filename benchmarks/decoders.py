"""Decoders at the same task: the frames that `/classify` looks at, each in one thread.

Each function prepares a video and gives the unit of work to repeat. Run by `benchmarks.crew`.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av

from benchmarks.checkpoint import checkpoint_config
from model.video.reader import open_video


def times_of(path: str) -> list[float]:
    """The times, in seconds, that the shipped checkpoint looks at."""
    sampling, _ = checkpoint_config()
    with Path(path).open("rb") as file, open_video(file) as video:
        times: list[float] = video.times(sampling).ravel().tolist()
    return times


def kinolex(path: str) -> Callable[[], object]:
    """What a decode process of the service does."""
    sampling, short_side = checkpoint_config()

    def unit() -> object:
        with Path(path).open("rb") as file, open_video(file) as video:
            return video.decode(video.times(sampling).ravel(), short_side=short_side)

    return unit


@dataclass(frozen=True, slots=True)
class _Group:
    """A group of pictures with wanted frames: its keyframe, the packets up to the last of them."""

    key: int
    packets: int
    wanted: frozenset[int]


def _must_decode(path: str) -> list[_Group]:
    """Which packets no decoder can do without, from the file's packets alone."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        seconds_per_tick = float(stream.time_base or 1)
        listed = [packet for packet in container.demux(stream) if packet.size]
    shown = sorted(packet.pts for packet in listed)
    ticks = [shown[0] + int(seconds / seconds_per_tick + 1e-6) for seconds in times_of(path)]
    wanted = {shown[bisect_right(shown, tick) - 1] for tick in ticks}
    starts = [place for place, packet in enumerate(listed) if packet.is_keyframe]
    groups = []
    for start, end in zip(starts, [*starts[1:], len(listed)], strict=True):
        times = [packet.pts for packet in listed[start:end]]
        inside = [place for place, pts in enumerate(times) if pts in wanted]
        if inside:
            here = frozenset(times[place] for place in inside)
            groups.append(_Group(times[0], inside[-1] + 1, here))
    return groups


def libavcodec(path: str) -> Callable[[], object]:
    """The bound: only the packets that must be decoded, not one frame converted.

    From each keyframe that has wanted frames behind it to the last of these; frames that no other
    frame needs are left out by the decoder itself.
    """
    groups = _must_decode(path)

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
            raise RuntimeError(f"{found} frames found, not those that were wanted")
        return found

    return unit


def opencv(path: str) -> Callable[[], object]:
    """OpenCV at its best: frames between are grabbed and not converted, the rest not read."""
    import cv2

    _, short_side = checkpoint_config()
    times = times_of(path)

    def unit() -> int:
        video = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        rate = video.get(cv2.CAP_PROP_FPS)
        wanted = sorted({int(seconds * rate) for seconds in times})
        number, kept = 0, []
        for place in wanted:
            while number <= place:
                video.grab()
                number += 1
            found, frame = video.retrieve()
            if not found:
                raise RuntimeError(f"frame {place} was not found")
            scale = short_side / min(frame.shape[:2])
            kept.append(cv2.resize(frame, None, fx=scale, fy=scale))
        video.release()
        return len(kept)

    return unit


def torchcodec(path: str) -> Callable[[], object]:
    """torchcodec as its manual advises for few frames of a video."""
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
