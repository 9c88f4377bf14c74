"""Streams whose file does not say when a frame is displayed: AVI and raw streams."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from model.video.reader import decode, open_video, probe
from model.video.sampling import SamplingConfig
from tests.support.avi import AviStream, avi_bytes, packed
from tests.support.clips import clip_bytes, read_number

FILM: dict[str, Any] = {
    "seconds_colours": ["red", "green", "blue", "yellow"] * 2,
    "fps": 25,
    "numbered": True,
    "gop": 25,
}
KINDS: dict[str, dict[str, Any]] = {
    "h264": {"b_frames": 3},
    "h264, one group": {"b_frames": 3, "gop": 999},
    "h264, open groups": {"b_frames": 3, "codec_options": {"x264-params": "open-gop=1"}},
    "h264, short groups": {"b_frames": 3, "gop": 6},
    "h264, pyramid": {"b_frames": 7, "codec_options": {"x264-params": "b-pyramid=normal"}},
    "h264, in order": {},
    "hevc": {"codec": "libx265", "b_frames": 3},
    "hevc, short groups": {
        "codec": "libx265",
        "b_frames": 3,
        "codec_options": {"x265-params": "log-level=none:open-gop=0:keyint=6"},
    },
}


def packets_of(data: bytes, *, start_codes: bool) -> tuple[list[tuple[bytes, bool]], bytes]:
    """Return the packets of an MP4, whether they are keyframes, and the codec's private data."""
    with av.open(io.BytesIO(data), "r") as source:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        if start_codes:
            name = f"{stream.codec_context.name}_mp4toannexb"
            bits = BitStreamFilterContext(name, stream)
            packets = [other for packet in packets for other in bits.filter(packet)]
        private = b"" if start_codes else bytes(stream.codec_context.extradata or b"")
        return [(bytes(packet), packet.is_keyframe) for packet in packets], private


def as_avi(data: bytes, tag: bytes, *, start_codes: bool = True) -> bytes:
    """Copy an MP4 into AVI, with start codes or with each unit's length in front."""
    frames, private = packets_of(data, start_codes=start_codes)
    return avi_bytes(AviStream(tag, frames, 64, 48, FILM["fps"], private))


def as_raw(data: bytes) -> bytes:
    """Copy the stream of an MP4 into a file without a container."""
    return b"".join(packet for packet, _ in packets_of(data, start_codes=True)[0])


FORMS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "avi": as_avi,
    "avi with lengths": partial(as_avi, start_codes=False),
    "raw": lambda data, _: as_raw(data),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_frames_and_times_are_those_of_the_same_stream_in_mp4(kind: str, form: str) -> None:
    data = clip_bytes(**FILM | KINDS[kind])
    codec = kind.partition(",")[0]
    other = FORMS[form](data, codec.upper().encode())

    info = probe(io.BytesIO(other))

    assert info.duration_seconds == pytest.approx(8)
    assert info.frames_per_second == pytest.approx(25)
    assert info.codec == codec
    times = np.random.default_rng(0).uniform(0, 8, 20)
    expected = decode(io.BytesIO(data), times, short_side=48)
    found = decode(io.BytesIO(other), times, short_side=48)
    np.testing.assert_array_equal(found.frames, expected.frames)
    np.testing.assert_allclose(found.timestamps_seconds, expected.timestamps_seconds, atol=1e-3)
    assert found.warnings == ()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [3, 5, 20])
def test_a_time_alone_gives_its_frame_up_to_the_end(frames: int, kind: str, form: str) -> None:
    film = FILM | {"seconds_colours": ["red"] * 2, "frame_times": [n / 25 for n in range(frames)]}
    data = clip_bytes(**film | KINDS[kind])
    other = FORMS[form](data, kind.partition(",")[0].upper().encode())

    for number in range(frames):
        with open_video(io.BytesIO(other)) as video:
            batch = video.decode([number / 25 + 0.02], short_side=48)

        assert read_number(batch.frames[0]) == number
        assert batch.timestamps_seconds[0] == pytest.approx(number / 25, abs=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_frames_are_chosen_as_in_mp4(form: str) -> None:
    data = clip_bytes(**FILM | {"b_frames": 3})
    sampling = SamplingConfig(1, 8, leeway=0.3)

    chosen = []
    for file in (data, FORMS[form](data, b"H264")):
        with open_video(io.BytesIO(file)) as video:
            chosen.append(video.decode(video.times(sampling).ravel(), short_side=48).frames)

    np.testing.assert_array_equal(chosen[0], chosen[1])


def test_a_few_frames_of_a_long_avi_cost_few_groups_of_pictures() -> None:
    film = FILM | {"seconds_colours": ["red", "green", "blue"] * 20, "b_frames": 3}
    data = as_avi(clip_bytes(**film), b"H264")

    with open_video(io.BytesIO(data)) as video:
        batch = video.decode([10.5, 30.5, 50.5], short_side=48)

        assert [read_number(frame) for frame in batch.frames] == [262, 762, 1262]
        assert video.decoded_packets < 4 * 25


def test_a_frame_just_before_a_keyframe_of_the_first_second_costs_few_groups() -> None:
    data = as_avi(clip_bytes(**FILM | {"b_frames": 3, "gop": 6}), b"H264")

    with open_video(io.BytesIO(data)) as video:
        batch = video.decode([0.7], short_side=48)

        assert read_number(batch.frames[0]) == 17
        assert video.decoded_packets < 25


def test_dropped_frames_of_an_avi_show_the_frame_before_them_longer() -> None:
    frames, _ = packets_of(clip_bytes(**FILM | {"b_frames": 3, "gop": 6}), start_codes=True)
    sparse = [each for frame in frames[100:] for each in (frame, (b"", False), (b"", False))]
    data = avi_bytes(AviStream(b"H264", [*frames[:100], *sparse], 64, 48, 25))

    # The decoder is two frames ahead of what is displayed.
    ticks = [*range(98), *range(98, 380, 3)]
    batch = decode(io.BytesIO(data), [(tick + 0.5) / 25 for tick in ticks], short_side=48)

    assert [read_number(frame) for frame in batch.frames] == [*range(192)]


def test_a_raw_stream_that_starts_inside_a_group_is_read_in_order() -> None:
    raw = as_raw(clip_bytes(**FILM | {"b_frames": 2}))

    info = probe(io.BytesIO(raw[len(raw) // 8 :]))

    assert 4 < info.duration_seconds < 8
    assert info.frames_per_second == pytest.approx(25)


def test_a_damaged_raw_stream_is_read_in_order() -> None:
    raw = bytearray(as_raw(clip_bytes(**FILM | {"b_frames": 2})))
    rng = np.random.default_rng(1)
    for position in rng.integers(len(raw) // 2, len(raw) * 2 // 3, 40):
        raw[position] ^= 0x55

    batch = decode(io.BytesIO(bytes(raw)), [0.05, 2.05], short_side=48)

    assert [read_number(frame) for frame in batch.frames] == [1, 51]


# FFmpeg takes frames of a few bytes, such as smaller ones of one colour have, for empty ones.
PACKED_SIZE = (320, 240)
PACKED = FILM | {"codec": "mpeg4", "width": PACKED_SIZE[0], "height": PACKED_SIZE[1]}


def packed_avi(data: bytes, *, empty: int = 0) -> bytes:
    """Copy an MP4 with MPEG-4 part 2 into AVI with packed frames.

    `empty` packets follow the first frame, as encoders write them that begin with a delay.
    """
    frames, private = packets_of(data, start_codes=False)
    first, *others = packed([(private + frames[0][0], True), *frames[1:]])
    return avi_bytes(
        AviStream(b"XVID", [first, *[(b"", False)] * empty, *others], *PACKED_SIZE, 25)
    )


@pytest.mark.parametrize("b_frames", [1, 2])
def test_packed_frames_are_shown_as_in_mp4(b_frames: int) -> None:
    data = clip_bytes(**PACKED | {"b_frames": b_frames})
    other = packed_avi(data)

    info = probe(io.BytesIO(other))

    assert info.duration_seconds == pytest.approx(8)
    assert info.frames_per_second == pytest.approx(25)
    times = np.arange(200) / 25 + 0.02
    expected = decode(io.BytesIO(data), times, short_side=48)
    found = decode(io.BytesIO(other), times, short_side=48)
    assert [read_number(frame) for frame in found.frames] == [*range(200)]
    np.testing.assert_array_equal(found.frames, expected.frames)
    assert found.warnings == ()


def test_the_first_of_packed_frames_is_shown_until_the_empty_packets_end() -> None:
    data = clip_bytes(**PACKED | {"b_frames": 2})
    other = packed_avi(data, empty=2)

    info = probe(io.BytesIO(other))

    assert info.duration_seconds == pytest.approx(8.08)
    assert info.frames_per_second == pytest.approx(25)
    batch = decode(io.BytesIO(other), [0.02, 0.1, 0.14, 1.02, 8.06], short_side=48)
    assert [read_number(frame) for frame in batch.frames] == [0, 0, 1, 23, 199]


def test_a_few_packed_frames_of_a_long_avi_cost_few_groups_of_pictures() -> None:
    film = PACKED | {"seconds_colours": ["red", "green", "blue"] * 20, "b_frames": 2}
    data = packed_avi(clip_bytes(**film))

    with open_video(io.BytesIO(data)) as video:
        batch = video.decode([10.5, 30.5, 50.5], short_side=48)

        assert [read_number(frame) for frame in batch.frames] == [262, 762, 1262]
        assert video.decoded_packets < 4 * 25
