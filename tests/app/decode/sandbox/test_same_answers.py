"""The sandbox changes no answer: a confined worker gives what the library gives in this process."""

import io
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from app.decode.decode_pool import DecodePool
from model.errors import VideoError
from model.video.reader import open_video
from model.video.sampling import SamplingConfig
from tests.support.clips import clip_bytes
from tests.support.paths import SHARED
from tests.support.pools import descriptor, pool_of

SAMPLING = SamplingConfig(clips=1, frames_per_clip=4)
SIDE = 48
# An answer: the codec with the frames, or the code with the message of an error.
Outcome = tuple[str, str | NDArray[np.uint8]]
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def made() -> dict[str, bytes]:
    return {
        "h264 in mp4": clip_bytes(b_frames=2),
        "h264 in matroska": clip_bytes(container="matroska", audio=True),
        "h264 in mpegts": clip_bytes(container="mpegts"),
        "mpeg4 in avi": clip_bytes(codec="mpeg4", container="avi"),
        "mpeg2 in mpeg": clip_bytes(codec="mpeg2video", container="mpeg", fps=25),
        "hevc in mp4": clip_bytes(codec="libx265"),
        "vp9 in webm": clip_bytes(codec="libvpx-vp9", container="webm"),
        "av1 in mp4": clip_bytes(codec="libsvtav1", width=128, height=128),
        "threads": clip_bytes(seconds_colours=["red"], width=1280, height=720, fps=25),
        "rotated": clip_bytes(rotation=90),
        "truncated": clip_bytes()[:2000],
        "no video": b"no video" * 100,
    }


def files_of(folder: str) -> dict[str, bytes]:
    paths = sorted((SHARED / folder).iterdir()) if (SHARED / folder).is_dir() else []
    return {path.name: path.read_bytes() for path in paths if path.stat().st_size < 3e6}


def of_the_library(data: bytes, threads: int) -> Outcome:
    try:
        with open_video(io.BytesIO(data), threads=threads) as video:
            times = video.times(SAMPLING).ravel()
            return video.info.codec, video.decode(times, short_side=SIDE).frames
    except VideoError as error:
        return error.code, str(error)


async def of_a_worker(pool: DecodePool, data: bytes, threads: int) -> Outcome:
    with descriptor(data) as fd:
        try:
            info, batch = await pool.sample(fd, SAMPLING, SIDE, threads=threads)
        except VideoError as error:
            return error.code, str(error)
    return info.codec, batch.frames


async def check(videos: Mapping[str, bytes]) -> None:
    async with pool_of(1) as pool:
        before = pool.pids
        for name, data in videos.items():
            for threads in (1, 2):
                word, content = await of_a_worker(pool, data, threads)
                expected_word, expected = of_the_library(data, threads)
                assert (name, word) == (name, expected_word)
                np.testing.assert_array_equal(content, expected, err_msg=name)
        assert pool.pids == before


async def test_videos_made_here_give_the_same_answers_inside_the_sandbox() -> None:
    await check(made())


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["badvideo", "failing"])
async def test_odd_files_give_the_same_answers_inside_the_sandbox(folder: str) -> None:
    await check(files_of(folder))
