"""Frames found by seeking and skipping are those of a full decode, pixel for pixel."""

import io
import random
from fractions import Fraction
from functools import partial
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from model.errors import VideoError
from model.video.container import MIN_THREADED_PIXELS, TEXT_OPTIONS
from model.video.fields import upper_field
from model.video.frames import DecodedFrame
from model.video.reader import open_video
from model.video.tone_mapping import HDR_CURVES, tone_map
from tests.support.clips import clip_bytes
from tests.support.paths import SHARED

SIDE = 40
# Sixteen seconds with a keyframe every two: long enough for seeks.
LONG: dict[str, Any] = {
    "seconds_colours": ["red", "green", "blue", "yellow"] * 4,
    "fps": 12.5,
    "numbered": True,
    "gop": 25,
}
UNEVEN = [hundredth / 100 for hundredth in sorted(random.Random(0).sample(range(1600), 160))]
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "b-frames": {"b_frames": 3},
    "b-pyramid": {"b_frames": 5, "codec_options": {"x264-params": "b-pyramid=strict:b-adapt=0"}},
    "open groups": {"b_frames": 3, "codec_options": {"x264-params": "open-gop=1"}},
    "intra refresh": {"codec_options": {"x264-params": "intra-refresh=1"}},
    "interlaced": {"b_frames": 2, "codec_options": {"x264-params": "interlaced=1"}},
    "keyframes only": {"gop": 1},
    "one group": {"b_frames": 3, "gop": 999},
    "edit list hides the start": {"first_timestamp": -0.25, "b_frames": 3},
    "late start": {"first_timestamp": 2.5, "b_frames": 2},
    "uneven rate": {"frame_times": UNEVEN, "b_frames": 2},
    "uneven rate, matroska": {"frame_times": UNEVEN, "b_frames": 2, "container": "matroska"},
    "with sound": {"audio": True, "b_frames": 2},
    "ten bits": {"pixel_format": "yuv420p10le"},
    "rotated, odd size": {"rotation": 90, "pixel_format": "yuv444p", "width": 65, "height": 33},
    "fragmented": {
        "b_frames": 3,
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "matroska": {"container": "matroska", "b_frames": 3},
    "matroska, negative start": {
        "container": "matroska",
        "first_timestamp": -0.25,
        "container_options": {"avoid_negative_ts": "disabled"},
    },
    "transport stream": {"container": "mpegts", "b_frames": 3},
    "transport stream, negative start": {
        "container": "mpegts",
        "b_frames": 3,
        "first_timestamp": -0.25,
        "container_options": {"avoid_negative_ts": "disabled"},
    },
    "flv": {"container": "flv", "b_frames": 2},
    "avi, mpeg4": {"container": "avi", "codec": "mpeg4"},
    "avi, mpeg4, b-frames": {"container": "avi", "codec": "mpeg4", "b_frames": 2},
    "avi, mjpeg": {"container": "avi", "codec": "mjpeg", "pixel_format": "yuvj420p"},
    "mpeg2 programme": {"container": "mpeg", "codec": "mpeg2video", "fps": 25, "b_frames": 2},
    "mpeg2 transport": {"container": "mpegts", "codec": "mpeg2video", "fps": 25, "b_frames": 2},
    "mpeg1": {"container": "mpeg", "codec": "mpeg1video", "fps": 25, "b_frames": 2},
    "wmv": {"container": "asf", "codec": "wmv2"},
    "h263": {
        "codec": "h263",
        "container": "3gp",
        "width": 176,
        "height": 144,
        "fps": Fraction(30000, 1001),
    },
    "hevc": {"codec": "libx265", "b_frames": 3},
    "hevc, open groups": {
        "codec": "libx265",
        "b_frames": 3,
        "codec_options": {"x265-params": "open-gop=1:log-level=none"},
    },
    "vp8, hidden frames": {
        "codec": "libvpx",
        "container": "webm",
        "codec_options": {"auto-alt-ref": "1", "lag-in-frames": "16"},
    },
    "vp8, live": {"codec": "libvpx", "container": "webm", "container_options": {"live": "1"}},
    "vp8, ogg": {"codec": "libvpx", "container": "ogg"},
    "vp9": {"codec": "libvpx-vp9", "container": "webm"},
    "av1": {"codec": "libsvtav1"},
    "prores": {"codec": "prores", "container": "mov", "pixel_format": "yuv422p10le"},
}


def full_decode(data: bytes) -> tuple[list[DecodedFrame], float]:
    """Decode every frame with plain PyAV; return them sorted by time, and the seconds per tick."""
    decoded: list[DecodedFrame] = []
    with av.open(io.BytesIO(data), "r", **TEXT_OPTIONS) as container:
        hidden = Disposition.attached_pic
        stream = next(s for s in container.streams.video if not s.disposition & hidden)
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            decoded.extend(
                DecodedFrame(frame.pts, frame) for frame in frames if frame.pts is not None
            )
        assert stream.time_base is not None
        return sorted(decoded, key=lambda each: each.pts), float(stream.time_base)


def assert_same_as_full_decode(data: bytes, rng: random.Random, threads: int = 1) -> None:
    # Threads also for small frames.
    min_pixels = 0 if threads > 1 else MIN_THREADED_PIXELS
    open_clip = partial(open_video, threads=threads, min_threaded_pixels=min_pixels)
    with open_clip(io.BytesIO(data)) as video:
        duration = video.info.duration_seconds
    frames, tick = full_decode(data)
    starts = np.array([frame.pts - frames[0].pts for frame in frames])
    burst = rng.random() * duration
    for times in (
        [rng.random() * duration],
        [(number + 0.5) * duration / 5 for number in range(5)],
        [rng.random() * duration for _ in range(12)],
        [burst + number * 0.04 for number in range(10)],
        [0.0, duration],
    ):
        with open_clip(io.BytesIO(data)) as video:
            batch = video.decode(times, short_side=SIDE)
            rotation = video.rotation
        ticks = np.floor(np.array(times) / tick + 1e-6)
        chosen = np.searchsorted(starts, ticks, side="right") - 1
        np.testing.assert_allclose(batch.timestamps_seconds, starts[chosen] * tick, atol=1e-9)
        height, width = batch.frames.shape[1:3]
        size = (height, width) if rotation.transposed else (width, height)
        reformatter = VideoReformatter()
        for frame, number in zip(batch.frames, chosen, strict=True):
            shown = upper_field(frames[number].frame)
            is_hdr = shown.color_trc in HDR_CURVES
            kind = "rgb48le" if is_hdr else "rgb24"
            expected = reformatter.reformat(shown, *size, kind).to_ndarray()
            if is_hdr:
                expected = tone_map(cast("npt.NDArray[np.uint16]", expected), shown.color_trc)
            upright = rotation.apply(cast("npt.NDArray[np.uint8]", expected))
            np.testing.assert_array_equal(frame, upright)


@pytest.mark.parametrize("kind", KINDS)
def test_same_frames_as_a_full_decode(kind: str) -> None:
    assert_same_as_full_decode(clip_bytes(**(LONG | KINDS[kind])), random.Random(kind))


@pytest.mark.parametrize("kind", ["b-frames", "open groups", "uneven rate", "hevc", "vp9", "av1"])
def test_same_frames_as_a_full_decode_with_several_threads(kind: str) -> None:
    data = clip_bytes(**(LONG | KINDS[kind]))
    assert_same_as_full_decode(data, random.Random(kind), threads=3)


def padded(data: bytes, container: str) -> bytes:
    """Pad the video to a file whose packets are not all read (over 16 MiB)."""
    size = 17 << 20
    if container == "mpegts":
        packets = [data[start : start + 188] for start in range(0, len(data), 188)]
        empty = b"\x47\x1f\xff\x10" + b"\xff" * 184
        return b"".join(packet + empty * (size // 188 // len(packets)) for packet in packets)
    if container == "matroska":
        return data + b"\xec" + (1 << 56 | size).to_bytes(8, "big") + bytes(size)
    first_fragment = data.index(b"moof") - 4
    empty = size.to_bytes(4, "big") + b"free" + bytes(size - 8)
    return data[:first_fragment] + empty + data[first_fragment:]


@pytest.mark.parametrize("container", ["mpegts", "matroska", "mp4"])
def test_same_frames_as_a_full_decode_in_large_files_without_a_complete_index(
    container: str,
) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    data = clip_bytes(
        **LONG,
        b_frames=2,
        container=container,
        container_options=options if container == "mp4" else {},
    )
    large = padded(data, container)
    with open_video(io.BytesIO(large)) as video:
        assert video.info.duration_seconds == pytest.approx(16)
        assert video.info.frames_per_second == pytest.approx(12.5)
    assert_same_as_full_decode(large, random.Random(container))


@pytest.mark.shared
def test_same_frames_as_a_full_decode_on_odd_files() -> None:
    playable = 0
    for path in sorted((SHARED / "badvideo").iterdir()):
        if path.suffix not in (".mp4", ".webm", ".mkv", ".3gp", ".m4v"):
            continue
        data = path.read_bytes()
        try:
            with open_video(io.BytesIO(data)):
                pass
        except VideoError:
            continue
        assert_same_as_full_decode(data, random.Random(path.name))
        playable += 1
    assert playable > 40


@pytest.mark.shared
def test_same_frames_as_a_full_decode_on_real_clips() -> None:
    clips = sorted((SHARED / "data" / "videos").rglob("*.mp4"))
    for path in random.Random(1).sample(clips, 20):
        assert_same_as_full_decode(path.read_bytes(), random.Random(path.name))


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "flv"])
def test_few_frames_of_a_long_video_cost_few_groups_of_pictures(container: str) -> None:
    colours = ["red", "green", "blue", "yellow"] * 15
    data = clip_bytes(**(LONG | {"seconds_colours": colours}), container=container, b_frames=2)
    with open_video(io.BytesIO(data)) as video:
        video.decode([10.5, 30.5, 30.6, 50.5], short_side=SIDE)
        assert video.decoded_packets < 4 * 25
    with open_video(io.BytesIO(data)) as video:
        video.decode([number / 12.5 for number in range(750)], short_side=SIDE)
        assert video.decoded_packets == 750
