"""Transport streams whose clock jumps, wraps or stops, and those that lost packets."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.video.reader import VideoInfo, decode, open_video, probe
from model.video.timing.patched_file import PatchedFile
from tests.support.clips import clip_bytes, read_number

WRAP_SECONDS = 2**33 / 90_000
SECONDS = ["red", "green", "blue", "yellow"]


def stream(first_timestamp: float = 0.0, **options: Any) -> bytes:
    """Four seconds at 10 frames/s, numbered from 0."""
    given = {"seconds_colours": SECONDS, "numbered": True, "b_frames": 2, "container": "mpegts"}
    return clip_bytes(**given | options, first_timestamp=first_timestamp)


def numbers_at(data: bytes, times: list[float]) -> list[int]:
    batch = decode(io.BytesIO(data), times, short_side=48)
    return [read_number(frame) for frame in batch.frames]


def info_of(data: bytes) -> VideoInfo:
    return probe(io.BytesIO(data))


@pytest.mark.parametrize(
    ("starts", "warning"),
    [
        ((0, 500), "the clock jumps by +49"),
        ((500, 0), "the clock jumps by -50"),
        ((0, 10), "the clock jumps by +"),  # less than ffplay closes, but at a clean cut
        ((WRAP_SECONDS - 6, 10), "the clock jumps by +"),
        ((0, 500, 20), "and 1 more times"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"container_options": {"mpegts_m2ts_mode": "1"}}])
def test_parts_with_clocks_of_their_own_are_shown_one_after_the_other(
    starts: tuple[float, ...], warning: str, options: Any
) -> None:
    data = b"".join(stream(start, **options) for start in starts)

    info = info_of(data)

    assert info.duration_seconds == pytest.approx(4 * len(starts), abs=0.11)
    assert info.frames_per_second == pytest.approx(10, rel=0.01)
    assert len(info.warnings) == 1
    assert warning in info.warnings[0]
    middles = [4 * part + second for part in range(len(starts)) for second in (0.55, 2.05, 3.55)]
    assert numbers_at(data, middles) == [5, 20, 35] * len(starts)


def test_a_second_recording_under_another_packet_id_gives_a_warning() -> None:
    other = {"mpegts_start_pid": "768", "mpegts_pmt_start_pid": "4352"}
    data = stream() + stream(500, container_options=other)

    info = info_of(data)

    assert info.duration_seconds == pytest.approx(4, abs=0.11)
    assert "goes on with another recording" in info.warnings[0]


def test_a_clock_that_wraps_around_is_no_jump() -> None:
    data = stream(WRAP_SECONDS - 2)

    info = info_of(data)

    assert info.duration_seconds == pytest.approx(4, abs=0.11)
    assert info.frames_per_second == pytest.approx(10, rel=0.01)
    assert info.warnings == ()
    assert numbers_at(data, [0.05, 2.05, 3.95]) == [0, 20, 39]


def test_a_pause_of_a_few_seconds_within_a_recording_stays() -> None:
    times = [number / 10 for number in range(20)] + [7 + number / 10 for number in range(20)]
    data = stream(frame_times=times)

    info = info_of(data)

    assert info.duration_seconds == pytest.approx(9, abs=0.11)
    assert info.warnings == ()
    assert numbers_at(data, [1.95, 5.0, 7.05]) == [19, 19, 20]


@pytest.mark.parametrize("pause", [18, 19, 20, 21])
def test_frames_reordered_across_a_long_pause_are_shown_without_it(pause: int) -> None:
    times = [number / 10 + (15 if number >= pause else 0) for number in range(40)]
    data = stream(frame_times=times, gop=40)

    info = info_of(data)

    assert info.duration_seconds == pytest.approx(4, abs=0.11)
    assert info.frames_per_second == pytest.approx(10, rel=0.01)
    assert "the clock jumps by +15" in info.warnings[0]
    assert numbers_at(data, [number / 10 + 0.05 for number in range(40)]) == [*range(40)]
    assert numbers_at(data, [2.55]) == [25]


def test_frames_before_the_first_keyframe_are_not_counted() -> None:
    whole = stream(gop=20, codec_options={"sc_threshold": "0"})
    packets = [whole[start : start + 188] for start in range(0, len(whole), 188)]
    tables = [packet for packet in packets if packet[1] & 0x1F == 0 and packet[2] in (0, 0x11)]
    middle = len(packets) // 4
    assert tables

    info = info_of(b"".join(packets[middle:]))

    assert info.duration_seconds == pytest.approx(2, abs=0.21)
    assert info.frames_per_second == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("size", [188, 192])
def test_missing_data_gives_a_warning_and_leaves_the_rate_alone(size: int) -> None:
    options: dict[str, Any] = {}
    if size == 192:
        options["container_options"] = {"mpegts_m2ts_mode": "1"}
    data = bytearray(stream(**options))
    start, end = len(data) * 45 // 100, len(data) * 55 // 100
    data[start:end] = bytes(end - start)

    info = info_of(bytes(data))

    assert info.duration_seconds == pytest.approx(4, abs=0.11)
    assert info.frames_per_second == pytest.approx(10, rel=0.01)
    assert any("data is missing in 1 place" in warning for warning in info.warnings)


def test_lost_packets_give_a_warning() -> None:
    data = stream(width=320, height=240)
    packets = [data[start : start + 188] for start in range(0, len(data), 188)]
    # packets inside frames: the ones that neither start a unit nor carry tables
    inside = [n for n, packet in enumerate(packets) if packet[1] == 1 and packet[2] == 0]
    lost = {inside[len(inside) // 3], inside[len(inside) // 2]}

    info = info_of(b"".join(packet for n, packet in enumerate(packets) if n not in lost))

    assert any("data is missing in 2 place" in warning for warning in info.warnings)


def test_a_large_joined_recording_is_searched_by_seeking() -> None:
    parts = [stream(start, gop=10, seconds_colours=SECONDS * 20) for start in (0, 1000)]
    empty = b"\x47\x1f\xff\x10" + b"\xff" * 184
    data = b"".join(
        part[start : start + 188] + empty * (9_000_000 // len(part))
        for part in parts
        for start in range(0, len(part), 188)
    )

    with open_video(io.BytesIO(data)) as video:
        assert video.info.duration_seconds == pytest.approx(160, abs=0.11)
        batch = video.decode([2.55, 82.55, 150.05], short_side=48)

        assert [read_number(frame) for frame in batch.frames] == [25, 25, 700]
        assert video.decoded_packets < 100


def test_a_file_that_loses_its_packets_all_the_time_is_still_read() -> None:
    data = bytearray(stream())
    data[188 * 40 :: 100] = bytes(len(data[188 * 40 :: 100]))

    assert info_of(bytes(data)).codec == "h264"


@given(
    size=st.integers(0, 200),
    starts=st.lists(st.integers(0, 39), unique=True),
    reads=st.lists(st.tuples(st.integers(0, 220), st.integers(0, 60)), max_size=20),
)
def test_fields_are_replaced_wherever_a_read_begins_and_ends(
    size: int, starts: list[int], reads: list[tuple[int, int]]
) -> None:
    original = bytes(size)
    at = [start * 5 for start in starts]
    values = np.arange(1, 5 * len(at) + 1).astype(np.uint8).reshape(len(at), 5)
    expected = bytearray(original)
    for position, value in zip(at, values, strict=True):
        field = value.tobytes()[: max(0, size - position)]
        expected[position : position + len(field)] = field

    file = PatchedFile(io.BytesIO(original), np.array(at, np.int64), values)

    for position, count in reads:
        assert file.seek(position) == position
        assert file.read(count) == bytes(expected[position : position + count])
    assert file.seek(0, 2) == size
    assert file.read(1) == b""
