"""GIF, WebP, APNG and AVIF: animated ones are videos, those of one frame are pictures."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from model.errors import CorruptVideo, PictureTooLarge, StillPicture, VideoError
from model.video.reader import VideoLimits, decode, open_video, probe
from tests.support.clips import COLOURS, picture, read_number

SIDE = 48
KINDS = ["GIF", "WEBP", "PNG", "AVIF"]
# Milliseconds: exact in all four formats.
DELAYS = [100, 200, 100, 300, 100, 200]


def animated(
    kind: str,
    frames: list[Image.Image] | None = None,
    delays: list[int] | None = None,
    **options: Any,
) -> bytes:
    """Numbered pictures of 64x48 in one file."""
    if frames is None:
        numbers = range(len(delays or DELAYS))
        frames = [Image.fromarray(picture("blue", 64, 48, number)) for number in numbers]
    buffer = io.BytesIO()
    given = {"save_all": True, "append_images": frames[1:], "duration": delays or DELAYS, "loop": 0}
    if kind == "WEBP":
        given["lossless"] = True
    frames[0].save(buffer, kind, **given | options)
    return buffer.getvalue()


def shown_at(data: bytes, times: list[float]) -> list[int]:
    batch = decode(io.BytesIO(data), times, short_side=SIDE)
    return [read_number(frame) for frame in batch.frames]


@pytest.mark.parametrize("kind", KINDS)
def test_an_animated_picture_lasts_as_long_as_its_frames(kind: str) -> None:
    data = animated(kind)

    info = probe(io.BytesIO(data))

    assert info.duration_seconds == pytest.approx(1.0, abs=0.01)
    assert info.frames_per_second == pytest.approx(6, rel=0.01)
    assert (info.width, info.height, info.warnings) == (64, 48, ())
    assert info.codec == {"GIF": "gif", "WEBP": "webp", "PNG": "apng", "AVIF": "av1"}[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_each_frame_is_shown_for_its_own_delay(kind: str) -> None:
    data = animated(kind)

    assert shown_at(data, [0.05, 0.15, 0.25, 0.35, 0.5, 0.65, 0.75, 0.95]) == [
        0,
        1,
        1,
        2,
        3,
        3,
        4,
        5,
    ]
    assert shown_at(data, [0.95, 0.05]) == [5, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_one_frame_is_refused_with_a_way_out(kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture("red", 64, 48)).save(buffer, kind)

    with pytest.raises(StillPicture, match="make a video of it: ffmpeg"):
        probe(io.BytesIO(buffer.getvalue()))


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_the_shortest_delays_are_lengthened_as_browsers_do(kind: str) -> None:
    data = animated(kind, delays=[10, 10, 50, 10])

    assert probe(io.BytesIO(data)).duration_seconds == pytest.approx(0.35)
    assert shown_at(data, [0.05, 0.15, 0.22, 0.3]) == [0, 1, 2, 3]


def test_gif_frames_with_colours_of_their_own_are_walked_over() -> None:
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)) for _ in range(5)]

    data = animated("GIF", frames, [10] * 5, comment=b"a comment " * 60)

    assert probe(io.BytesIO(data)).duration_seconds == pytest.approx(0.5)


def opaque(frames: list[Image.Image]) -> list[npt.NDArray[np.int64]]:
    white = Image.new("RGBA", frames[0].size, "white")
    return [np.asarray(Image.alpha_composite(white, f).convert("RGB")).astype(int) for f in frames]


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("disposal", [None, [1, 0, 1, 0, 1, 0]])
def test_transparent_webp_frames_are_put_together_as_pillow_does(
    lossless: bool, disposal: list[int] | None
) -> None:
    rng = np.random.default_rng(1)
    frames = []
    for number in range(6):
        layer = np.zeros((48, 64, 4), np.uint8)
        x, y = int(rng.integers(0, 40)), int(rng.integers(0, 30))
        layer[y : y + 18, x : x + 24, :3] = list(COLOURS.values())[number]
        layer[y : y + 18, x : x + 24, 3] = 255 if number % 2 else 128
        frames.append(Image.fromarray(layer, "RGBA"))
    data = animated("WEBP", frames, lossless=lossless, quality=95, minimize_size=True)
    again = Image.open(io.BytesIO(data))
    expected = []
    for number in range(6):
        again.seek(number)
        expected.append(again.convert("RGBA"))

    times = np.cumsum(DELAYS) / 1000 - 0.05
    batch = decode(io.BytesIO(data), times, short_side=SIDE)

    for frame, reference in zip(batch.frames, opaque(expected), strict=True):
        assert np.abs(frame - reference).mean() < (1 if lossless else 4)


def test_a_gif_shows_its_transparent_parts_on_white() -> None:
    frames = [Image.new("RGBA", (64, 48), (0, 0, 0, 0)) for _ in range(2)]
    for frame, colour in zip(frames, ("red", "blue"), strict=True):
        frame.paste(Image.new("RGBA", (20, 20), colour), (4, 4))
    data = animated("GIF", frames, [100, 100], disposal=2)

    batch = decode(io.BytesIO(data), [0.05, 0.15], short_side=SIDE)

    assert (batch.frames[:, 40, 60] > 250).all()
    assert batch.frames[:, 12, 12].argmax(axis=1).tolist() == [0, 2]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_damaged_pictures_are_read_as_far_as_they_go_or_refused(kind: str) -> None:
    data = animated(kind)
    rng = np.random.default_rng(2)
    for cut in range(40, len(data), max(1, len(data) // 12)):
        damaged = bytearray(data[:cut])
        for position in rng.integers(30, len(damaged), 5):
            damaged[position] ^= int(rng.integers(1, 255))
        for attempt in (data[:cut], bytes(damaged)):
            try:
                with open_video(io.BytesIO(attempt)) as video:
                    video.decode([0.0, video.info.duration_seconds], short_side=SIDE)
            except VideoError:
                pass


def test_a_webp_that_is_cut_short_says_so() -> None:
    data = animated("WEBP")

    info = probe(io.BytesIO(data[: len(data) * 2 // 3]))

    assert 0.1 < info.duration_seconds < 1
    assert any("ends early" in warning for warning in info.warnings)


def test_limits_hold_for_webp() -> None:
    data = animated("WEBP")

    with pytest.raises(PictureTooLarge, match="64x48"):
        probe(io.BytesIO(data), VideoLimits(max_pixels=64 * 47))
    with pytest.raises(VideoError, match=r"the limit is 0\.5 s"):
        probe(io.BytesIO(data), VideoLimits(max_duration_seconds=0.5))
    with pytest.raises(VideoError, match="more than 3 frames"):
        probe(io.BytesIO(data), VideoLimits(max_walked_frames=3))


def test_a_webp_without_a_frame_that_can_be_decoded_is_corrupt() -> None:
    data = bytearray(animated("WEBP"))
    at = -1
    while (at := data.find(b"VP8L", at + 1)) >= 0:
        data[at + 8 : at + 12] = b"none"

    with pytest.raises(CorruptVideo, match="no frame"):
        decode(io.BytesIO(bytes(data)), [0.5], short_side=SIDE)
