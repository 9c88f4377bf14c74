"""Durations and rates of files that are measured by their packets."""

import io
import re
from contextlib import suppress
from typing import Any

import av
import numpy as np
import pytest

from model.video.reader import VideoInfo, decode, probe
from tests.support.clips import clip_bytes, read_number

FOUR_SECONDS: dict[str, Any] = {"seconds_colours": ["red", "blue"] * 2, "fps": 25, "numbered": True}


def info_of(data: bytes) -> VideoInfo:
    return probe(io.BytesIO(data))


def with_times_of_zero(data: bytes) -> bytes:
    """Copy a video into Matroska with all times 0."""
    buffer = io.BytesIO()
    with (
        av.open(io.BytesIO(data), "r") as source,
        av.open(buffer, "w", format="matroska") as target,
    ):
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream, packet.pts, packet.dts = copy, 0, 0
                target.mux(packet)
    return buffer.getvalue()


def test_a_file_whose_times_are_all_zero_has_the_rate_of_its_header() -> None:
    data = with_times_of_zero(clip_bytes(**FOUR_SECONDS, codec="mpeg4", container="avi"))

    info = info_of(data)

    assert info.frames_per_second == pytest.approx(25, rel=0.01)
    assert info.duration_seconds == pytest.approx(4, abs=0.04)
    batch = decode(io.BytesIO(data), [0.02, 1.02, 3.98], short_side=48)
    assert [read_number(frame) for frame in batch.frames] == [0, 25, 99]


@pytest.mark.parametrize("container", ["matroska", "mpegts", "mp4"])
def test_the_last_frame_of_an_uneven_video_lasts_as_long_as_the_file_says(container: str) -> None:
    fragmented = {"movflags": "frag_keyframe+empty_moov"} if container == "mp4" else {}
    data = clip_bytes(
        seconds_colours=["red"],
        frame_times=[0, 0.1, 0.2, 0.3, 0.4, 2.0, 2.1],
        container=container,
        container_options=fragmented,
    )

    assert info_of(data).duration_seconds == pytest.approx(2.2, abs=0.01)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_slides_with_reordered_frames_end_with_the_last_slide(container: str) -> None:
    times = [0, 6, 7, 9, 10, 12]
    colours = ["red"] * 6 + ["green", "blue", "blue", "yellow", "white", "white", "black"]
    data = clip_bytes(
        seconds_colours=colours, frame_times=times, numbered=True, b_frames=2, container=container
    )

    assert info_of(data).duration_seconds == pytest.approx(12.1, abs=0.01)
    batch = decode(io.BytesIO(data), [time + 0.05 for time in times], short_side=48)
    assert [read_number(frame) for frame in batch.frames] == [*range(6)]


@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_film_that_slows_down_ends_with_its_last_frame(b_frames: int) -> None:
    times = [number / 50 for number in range(20)] + [0.4 + number / 5 for number in range(20)]
    data = clip_bytes(seconds_colours=["red"] * 5, frame_times=times, b_frames=b_frames)

    info = info_of(data)

    assert info.duration_seconds == pytest.approx(4.35, abs=0.06)
    assert info.frames_per_second == pytest.approx(40 / 4.35, rel=0.02)


def end_of_frames(data: bytes) -> float:
    """When the last frame ends that FFmpeg decodes, in seconds from the first one."""
    shown: list[float] = []
    with av.open(io.BytesIO(data), "r") as source:
        for packet in source.demux(source.streams.video[0]):
            # the last packet may be cut
            with suppress(av.error.InvalidDataError):
                shown += [frame.time for frame in packet.decode()]
    return max(shown) - min(shown) + 1 / 25


CUT_FORMS: dict[str, dict[str, Any]] = {
    "index in front": {"container": "mp4", "container_options": {"movflags": "faststart"}},
    "fragments": {
        "container": "mp4",
        "container_options": {"movflags": "frag_keyframe+default_base_moof"},
    },
    "Matroska": {"container": "matroska"},
    "FLV": {"container": "flv"},
}


@pytest.mark.parametrize("form", CUT_FORMS)
def test_a_cut_file_with_b_frames_has_the_rate_and_length_of_the_frames_it_holds(form: str) -> None:
    data = clip_bytes(**FOUR_SECONDS, b_frames=3, gop=25, **CUT_FORMS[form])
    # within the packets, in a fragmented file those of the last fragment
    begin = data.rindex(b"mdat") if b"mdat" in data else len(data) // 4
    for share in (0.3, 0.41, 0.5, 0.61, 0.66, 0.73, 0.84, 0.93):
        cut = data[: begin + int(share * (len(data) - begin))]

        info = info_of(cut)

        assert info.frames_per_second == pytest.approx(25, rel=0.01)
        assert info.duration_seconds == pytest.approx(end_of_frames(cut), abs=0.041)


def test_a_fragmented_file_that_is_cut_within_an_index_is_read_up_to_there() -> None:
    data = clip_bytes(**FOUR_SECONDS, b_frames=3, gop=25, **CUT_FORMS["fragments"])
    last = data.rindex(b"moof") - 4
    size = int.from_bytes(data[last : last + 4], "big")

    for cut in range(last + 8, last + size, 5):
        assert info_of(data[:cut]).duration_seconds == pytest.approx(3, abs=0.13)


def test_sound_does_not_lengthen_the_last_frame() -> None:
    times = [number / 10 for number in range(9)]
    data = clip_bytes(seconds_colours=["red"], frame_times=times, container="webm", codec="libvpx")
    longer = clip_bytes(
        seconds_colours=["red"], frame_times=times, container="matroska", audio=True
    )

    assert info_of(data).duration_seconds == pytest.approx(0.9, abs=0.01)
    info = info_of(longer)
    assert info.duration_seconds == pytest.approx(0.9, abs=0.01)
    assert info.frames_per_second == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("starts", [(0, 60), (60, 0)])
def test_parts_of_a_program_stream_are_shown_one_after_the_other(starts: tuple[int, int]) -> None:
    options = FOUR_SECONDS | {"container": "mpeg", "codec": "mpeg2video"}
    data = b"".join(clip_bytes(**options, first_timestamp=float(start)) for start in starts)

    info = info_of(data)

    assert info.duration_seconds == pytest.approx(8, abs=0.09)
    assert info.frames_per_second == pytest.approx(25, rel=0.01)
    batch = decode(io.BytesIO(data), [1.02, 5.02], short_side=48)
    numbers = [read_number(frame) for frame in batch.frames]
    assert numbers == pytest.approx([25, 25], abs=2)


def without_rate(data: bytes) -> bytes:
    """Replace the frames' usual length in a WebM header with an element that says nothing."""
    changed, count = re.subn(rb"\x23\xe3\x83\x84.{4}", b"\xec\x86" + bytes(6), data, flags=re.S)
    assert count == 1
    return changed


@pytest.mark.parametrize("seconds", [25, 900])
def test_webm_of_a_browser_has_the_rate_of_its_frames(seconds: int) -> None:
    gap = seconds / 250
    times = (np.arange(250) + np.random.default_rng(0).uniform(0, 0.8, 250)) * gap
    data = without_rate(
        clip_bytes(
            seconds_colours=["red"] * seconds,
            frame_times=[0, *times[1:].tolist()],
            container="webm",
            codec="libvpx",
        )
    )

    info = info_of(data)

    assert info.frames_per_second == pytest.approx(1 / gap, rel=0.1)
    assert info.duration_seconds == pytest.approx(seconds, rel=0.01)
    assert info.warnings == ()


def test_a_frame_alone_without_a_rate_is_no_thousandth_of_a_second() -> None:
    data = without_rate(
        clip_bytes(seconds_colours=["red"], frame_times=[0], container="webm", codec="libvpx")
    )

    info = info_of(data)

    assert info.duration_seconds == pytest.approx(0.04)
    assert info.warnings == ("only one frame: it stands for the whole video",)


def test_small_frames_that_share_a_time_in_a_program_stream_all_count() -> None:
    at_25 = {"x264-params": "fps=25:force-cfr=1"}
    data = clip_bytes(**FOUR_SECONDS, container="mpeg", b_frames=2, codec_options=at_25)

    info = info_of(data)

    assert info.duration_seconds == pytest.approx(4)
    assert info.frames_per_second == pytest.approx(25)
    batch = decode(io.BytesIO(data), [0.02, 1.02, 3.98], short_side=48)
    assert [read_number(frame) for frame in batch.frames] == [0, 25, 99]
