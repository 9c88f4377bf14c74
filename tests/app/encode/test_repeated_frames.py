"""Windows with the same frames are encoded once."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.fakes import ColourEncoder, colour_tagger
from tests.support.servers import open_client

QUERY = "/classify?labels=red,blue&granularity=segments&window_seconds=1&stride_seconds=0.5"
MP4 = {"Content-Type": "video/mp4"}


class CountingEncoder(ColourEncoder):
    """Knows colours, and counts the windows that it embeds."""

    def __init__(self) -> None:
        self.windows = 0

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        self.windows += len(pixels)
        return super().features(pixels)


def test_a_film_of_two_frames_is_not_encoded_a_hundred_times(
    make_settings: Callable[..., Settings],
) -> None:
    # A red frame for 40 s, then a blue one: JPEG, so that a frame does not depend on others.
    film = clip_bytes(
        seconds_colours=["red"] * 40 + ["blue"] * 10,
        frame_times=[0.0, 40.0, 49.0],
        codec="mjpeg",
        container="matroska",
        pixel_format="yuvj420p",
    )
    encoder = CountingEncoder()
    with open_client(make_settings(), tagger=colour_tagger(encoder=encoder)) as client:
        encoder.windows = 0
        answer = client.post(QUERY, content=film, headers=MP4).json()

    assert answer["windows"]["count"] > 80
    # Red, blue, and windows at the border of both.
    assert encoder.windows < 8
    found = [(s["tags"][0]["label"], s["start"] < 30) for s in answer["segments"]]
    assert found == [("red", True), ("blue", False)]
