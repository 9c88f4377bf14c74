"""How HDR, interlaced and transparent frames are shown."""

import io

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.stream import VideoStream
from PIL import Image

from model.video.reader import decode, open_video, probe
from model.video.tone_mapping import tone_map
from tests.support.clips import clip_bytes

PQ, HLG = 16, 18


def pq_level(nits: float) -> float:
    """The PQ signal, 0..1, of a luminance (BT.2100)."""
    part = (nits / 10_000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * part) / (1 + 18.6875 * part)) ** 78.84375)


def hlg_level(nits: float) -> float:
    """The HLG signal, 0..1, of a grey of this luminance on a display of 1,000 candela (BT.2100)."""
    light = (nits / 1000) ** (1 / 1.2)
    if light <= 1 / 12:
        return float(np.sqrt(3 * light))
    return float(0.17883277 * np.log(12 * light - 0.28466892) + 0.55991073)


def grey(levels: list[float]) -> npt.NDArray[np.uint16]:
    row = np.round(np.array(levels) * 65535).astype(np.uint16)
    return np.broadcast_to(row[np.newaxis, :, np.newaxis], (1, len(levels), 3))


@pytest.mark.parametrize(("curve", "level"), [(PQ, pq_level), (HLG, hlg_level)])
@pytest.mark.parametrize("white", [100.0, 150.0, 203.0])
def test_light_between_the_two_whites_keeps_its_brightness(
    curve: int, level: object, white: float
) -> None:
    assert callable(level)
    nits = [0.0, white / 100, white / 10, white / 2, white, white, white]

    shown = tone_map(grey([level(each) for each in nits]), curve)[0, :, 0]

    expected = 255 * (np.array(nits) / white) ** (1 / 2.4)
    assert np.abs(shown - expected).max() <= 3


@pytest.mark.parametrize("curve", [PQ, HLG])
def test_highlights_are_compressed_in_order_and_greys_stay_grey(curve: int) -> None:
    levels = np.linspace(0, 1, 500)

    shown = tone_map(grey(levels.tolist()), curve)[0].astype(int)

    assert (np.diff(shown[:, 0]) >= 0).all()
    assert shown[0, 0] == 0
    assert shown[-1, 0] == 255
    assert np.ptp(shown, axis=1).max() <= 1


def test_a_dark_scene_is_brightened_by_no_more_than_a_display_for_sdr_would() -> None:
    shown = tone_map(grey([pq_level(1.0)] * 50), PQ)

    assert shown.max() == pytest.approx(255 * 0.01 ** (1 / 2.4), abs=2)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_hdr_videos_are_tone_mapped(transfer: int) -> None:
    data = clip_bytes(seconds_colours=["grey"], transfer=transfer, pixel_format="yuv420p10le")

    info = probe(io.BytesIO(data))
    frame = decode(io.BytesIO(data), [0.5], short_side=32).frames[0]

    name = {PQ: "PQ", HLG: "HLG"}[transfer]
    assert f"HDR ({name}) is tone mapped" in info.warnings
    # half of the signal is 92 candela in PQ, 51 in HLG
    nits = {PQ: 92.0, HLG: 51.0}[transfer]
    assert frame.mean() == pytest.approx(255 * (nits / 100) ** (1 / 2.4), abs=6)
    assert np.ptp(frame.reshape(-1, 3).mean(axis=0)) < 4


def interlaced(fields: tuple[int, int]) -> bytes:
    """A video whose upper and lower fields have a grey of their own, as fast movement has."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        options = {"x264-params": "interlaced=1:qp=5"}
        stream = output.add_stream("libx264", rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for number in range(10):
            pixels = np.empty((96, 96, 3), np.uint8)
            pixels[::2], pixels[1::2] = fields
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return buffer.getvalue()


def test_one_field_of_interlaced_frames_is_shown() -> None:
    data = interlaced((200, 40))

    with open_video(io.BytesIO(data)) as video:
        frames = video.decode([0.0, 0.2], short_side=96).frames
        assert video.info.warnings == ("interlaced: one field of each frame is shown",)
        assert (video.info.width, video.info.height) == (96, 96)

    assert frames.shape == (2, 96, 96, 3)
    assert np.abs(frames.astype(int) - 200).max() < 12


def test_transparent_parts_of_apng_are_white() -> None:
    frames = [Image.new("RGBA", (32, 32), (0, 0, 0, 0)) for _ in range(2)]
    frames[1].paste((255, 0, 0, 255), (0, 0, 16, 32))
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=100)

    batch = decode(io.BytesIO(buffer.getvalue()), [0.05, 0.15], short_side=32)

    assert (batch.frames[0] == 255).all()
    assert (batch.frames[1, :, 20:] == 255).all()
    assert batch.frames[1, 16, 4].tolist() == [255, 0, 0]
