"""The size of scaled frames: bounded for every video, so that memory can be set aside before."""

import math

from hypothesis import given
from hypothesis import strategies as st

from model.video.frame_scaler import FrameScaler, Rotation, max_frame_bytes

sides = st.integers(1, 10_000)


@given(short_side=st.integers(1, 1000), width=sides, height=sides, transposed=st.booleans())
def test_no_scaled_frame_takes_more_than_the_maximum(
    short_side: int, width: int, height: int, transposed: bool
) -> None:
    scaler = FrameScaler(short_side, width, height, Rotation(transposed=transposed))

    assert min(scaler.shape[:2]) == short_side
    assert math.prod(scaler.shape) <= max_frame_bytes(short_side)


def test_the_longest_frames_take_exactly_the_maximum() -> None:
    scaler = FrameScaler(96, 10_000, 100, Rotation())

    assert math.prod(scaler.shape) == max_frame_bytes(96)
