"""Describe a video from its stream, its first frame and its timeline."""

from collections.abc import Sequence

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from model.video.container import codec_name
from model.video.frame_scaler import Rotation
from model.video.packets import DEFAULT_RATE, header_rate, time_base_of
from model.video.timing.timeline import Timeline
from model.video.tone_mapping import HDR_CURVES
from model.video.values import VideoInfo, VideoLimits


def video_info(
    stream: VideoStream,
    first: VideoFrame,
    start: int,
    timeline: Timeline,
    rotation: Rotation,
    limits: VideoLimits,
    warnings: Sequence[str],
) -> VideoInfo:
    """Describe the video whose first frame is displayed at `start` (ticks).

    `warnings` are those about its file.
    """
    duration = (timeline.end - start) * float(time_base_of(stream))
    rate = _frames_per_second(stream, timeline, duration)
    width, height = _display_size(stream, first, rotation)
    warnings = [*warnings]
    if timeline.frames == 1:
        warnings.append("only one frame: it stands for the whole video")
    if first.color_trc in HDR_CURVES:
        warnings.append(f"HDR ({HDR_CURVES[first.color_trc]}) is tone mapped")
    if first.interlaced_frame:
        warnings.append("interlaced: one field of each frame is shown")
    bits = max((part.bits for part in first.format.components), default=8)
    if bits > 8:
        warnings.append(f"{bits} bits per colour are reduced to 8")
    if rate > limits.max_frames_per_second:
        warnings.append(f"{rate:g} frames/s are taken as {limits.max_frames_per_second:g}")
        rate = limits.max_frames_per_second
    return VideoInfo(
        duration_seconds=duration,
        frames_per_second=rate,
        width=width,
        height=height,
        rotation=rotation.degrees,
        codec=codec_name(stream) or "",
        warnings=tuple(warnings),
    )


def _frames_per_second(stream: VideoStream, timeline: Timeline, duration: float) -> float:
    if timeline.rate is not None:
        return timeline.rate
    if timeline.frames is not None:
        return timeline.frames / duration
    return float(header_rate(stream) or DEFAULT_RATE)


def _display_size(stream: VideoStream, frame: VideoFrame, rotation: Rotation) -> tuple[int, int]:
    """Width and height in pixels with the sample aspect ratio and the rotation applied."""
    aspect = stream.sample_aspect_ratio
    stretch = float(aspect) if aspect and 0.01 <= aspect <= 100 else 1.0
    width, height = max(1, round(frame.width * stretch)), frame.height
    return (height, width) if rotation.transposed else (width, height)
