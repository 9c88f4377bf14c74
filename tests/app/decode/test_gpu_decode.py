"""Decoding on a GPU: the same frames, and the CPU for every video that the GPU fails on.

The process is the one that decodes on a GPU, with the CPU as its device.
"""

import asyncio
import io
import math
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import av
import numpy as np
import pytest

from app.decode.decode_pool import DecodePool
from app.decode.gpu_pool import GpuDecodePool
from app.settings import Settings, gpu_environment
from model import SamplingConfig, TorchEncoder, load_checkpoint
from model.errors import VideoError
from model.video.reader import FrameBatch, VideoInfo, VideoLimits, open_video
from tests.support.clips import clip_bytes, read_number
from tests.support.fakes import colour_tagger
from tests.support.networks import LITE, lively_network
from tests.support.paths import SHARED
from tests.support.pools import (
    child_processes,
    count_open_files,
    descriptor,
    is_alive,
    pool_of,
    status_of,
    until,
)
from tests.support.servers import open_client

try:
    from torchcodec import ffmpeg_major_version
except (ImportError, OSError, RuntimeError):
    ffmpeg_major_version = None

needs_torchcodec = pytest.mark.skipif(
    ffmpeg_major_version is None, reason="torchcodec does not run here, or finds no FFmpeg"
)
SPREAD = SamplingConfig(clips=2, frames_per_clip=3, spacing="spread")
SPARING = replace(SPREAD, leeway=0.25)
SIDE = 48
# of the frames that SPREAD takes from three seconds at ten a second
NUMBERS = [2, 7, 12, 17, 22, 27]
PLAIN: dict[str, dict[str, Any]] = {
    "h264 with B-frames": {"b_frames": 2},
    "short groups": {"gop": 3, "fps": 30},
    "hevc": {"codec": "libx265"},
    "vp9": {"codec": "libvpx-vp9"},
    "BT.709": {"codec_options": {"colorspace": "bt709"}},
    "variable rate": {"frame_times": [0, 0.1, 0.5, 0.55, 1.3, 1.9, 2.0, 2.7]},
    "late start": {"first_timestamp": 1.5},
    "fragments": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "upright": {"width": 144, "height": 192},
    "stretched": {"sample_aspect": Fraction(4, 3)},
    "of odd size": {"width": 193, "height": 145, "codec": "libvpx-vp9"},
}
ODD: dict[str, dict[str, Any]] = {
    "rotated": {"rotation": 90},
    "small": {"width": 64, "height": 48},
    "10 bits": {"codec": "libx265", "pixel_format": "yuv420p10le"},
    "full range": {"codec_options": {"color_range": "pc"}},
    "interlaced": {"codec_options": {"flags": "+ildct+ilme"}},
    "old codec": {"codec": "mpeg4"},
    "matroska": {"container": "matroska"},
    "transport stream": {"container": "mpegts"},
}

# Reasons for which videos were not rendered, the GPU pool, and the decode pool in front of it.
Pools: TypeAlias = tuple[list[str], GpuDecodePool, DecodePool]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def plain_clip() -> bytes:
    return clip(b_frames=2)


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Pools]:
    """Pools started once for all tests, because the GPU worker loads torch."""
    failures: list[str] = []
    async with gpu_pool(failures) as gpu, pool_with(gpu) as pool:
        yield failures, gpu, pool


@pytest.fixture
async def pools(running: Pools) -> Pools:
    failures, gpu, _ = running
    failures.clear()
    await until(lambda: gpu.has_idle)
    return running


def clip(**options: Any) -> bytes:
    # NVDEC decodes nothing much smaller
    size = {"width": 192, "height": 144}
    return clip_bytes(
        **{"seconds_colours": ["red", "green", "blue"], "numbered": True, **size, **options}
    )


def gpu_pool(failures: list[str], device: str = "cpu") -> GpuDecodePool:
    return GpuDecodePool(device, environment=gpu_environment(), on_failure=failures.append)


def pool_with(gpu: GpuDecodePool) -> DecodePool:
    return DecodePool(1, VideoLimits(), gpu=gpu)


def numbers(batch: FrameBatch) -> list[int]:
    return [read_number(frame) for frame in batch.frames]


@pytest.mark.slow
@needs_torchcodec
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
async def test_plain_videos_give_the_same_frames_and_nearly_the_same_pixels(
    device: str,
) -> None:
    failures: list[str] = []
    max_difference = 0
    tagger = replace(
        colour_tagger(), encoder=TorchEncoder(lively_network(), LITE.dim), sampling=SPREAD
    )
    async with pool_of(1) as reference, gpu_pool(failures, device) as gpu, pool_with(gpu) as pool:
        await until(lambda: gpu.has_idle)
        for name, options in PLAIN.items():
            for sampling in (SPREAD, SPARING):
                with descriptor(clip(**options)) as fd:
                    expected_info, expected = await reference.sample(fd, sampling, SIDE)
                    info, batch = await pool.sample(fd, sampling, SIDE)
                assert failures == [], name
                assert info == expected_info, name
                np.testing.assert_allclose(
                    batch.timestamps_seconds, expected.timestamps_seconds, atol=1e-6, err_msg=name
                )
                assert numbers(batch) == numbers(expected), name
                difference = np.abs(batch.frames.astype(int) - expected.frames)
                assert difference.mean() < 0.5, name
                max_difference = max(max_difference, difference.max())
                embeddings = tagger.embed_frames([expected, batch])
                assert embeddings[0] @ embeddings[1] >= 0.999, name
    # with all bytes equal it would not have been asked
    assert max_difference > 0


def enlarged(path: Path, times: int) -> bytes:
    """The first frames of a clip as an MP4 of several times its size."""
    target = io.BytesIO()
    with av.open(str(path)) as source, av.open(target, "w", format="mp4") as output:
        old = source.streams.video[0]
        stream = output.add_stream("libx264", rate=15, options={"preset": "ultrafast"})
        stream.width, stream.height = times * old.width, times * old.height
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(islice(source.decode(old), 30)):
            large = frame.reformat(stream.width, stream.height, interpolation="LANCZOS")
            large.pts, large.time_base = number, Fraction(1, 15)
            output.mux(stream.encode(large))
        output.mux(stream.encode())
    return target.getvalue()


@needs_torchcodec
@pytest.mark.shared
@pytest.mark.slow
async def test_the_shipped_checkpoint_sees_real_clips_as_it_does_through_the_cpu(
    pools: Pools,
) -> None:
    failures, gpu, pool = pools
    tagger = load_checkpoint()
    side = tagger.preprocess.short_side
    clips = sorted((SHARED / "data" / "videos" / "train").rglob("*.mp4"))[::60]
    assert len(clips) > 5
    cosines, equal = [], []
    async with pool_of(1) as reference:
        for times, path in enumerate(clips, start=2):
            with descriptor(enlarged(path, 2 + times % 3)) as fd:
                _, expected = await reference.sample(fd, tagger.sampling, side)
                await until(lambda: gpu.has_idle)
                _, batch = await pool.sample(fd, tagger.sampling, side)
            equal.append(np.array_equal(batch.frames, expected.frames))
            embeddings = tagger.embed_frames([expected, batch])
            cosines.append(float(embeddings[0] @ embeddings[1]))
    assert failures == []
    assert not all(equal)
    assert min(cosines) >= 0.999


@pytest.mark.parametrize(
    ("options", "is_plain"),
    [(each, True) for each in PLAIN.values()] + [(each, False) for each in ODD.values()],
    ids=[*PLAIN, *ODD],
)
def test_only_plain_videos_are_for_another_decoder(options: dict[str, Any], is_plain: bool) -> None:
    with open_video(io.BytesIO(clip(**options))) as video:
        assert (video.locate(np.array([0.5]), SIDE) is not None) == is_plain


def test_an_mp4_that_others_may_take_for_a_playlist_is_not_plain() -> None:
    times = np.array([0.5])
    data = clip(container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    text = b"\x01\x01\x01\x01free<MPD>".ljust(0x01010101, b" ")
    found: list[object] = []
    for each in (data, text + data):
        with open_video(io.BytesIO(each)) as video:
            assert video.decode(times, short_side=SIDE).frames.shape[0] == 1
            found.append(video.locate(times, SIDE))
    assert found[0] is not None
    assert found[1] is None


@needs_torchcodec
async def test_windows_are_decoded_in_the_order_asked(pools: Pools, plain_clip: bytes) -> None:
    failures, _, pool = pools
    with descriptor(plain_clip) as fd:
        batch = await pool.decode(fd, [2.5, 0.5, 0.51, 60.0, -1.0, 1.25], SIDE)
    assert failures == []
    assert numbers(batch) == [25, 5, 5, 29, 0, 12]


@needs_torchcodec
@pytest.mark.parametrize("broken", [b"hello", clip()[:600]], ids=["text", "torn"])
async def test_a_broken_file_is_refused_as_without_a_gpu(broken: bytes, pools: Pools) -> None:
    failures, _, pool = pools
    with descriptor(broken) as fd:
        async with pool_of(1) as reference:
            with pytest.raises(VideoError) as expected:
                await reference.sample(fd, SPREAD, SIDE)
        with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
            await pool.sample(fd, SPREAD, SIDE)
    assert failures == []


async def frozen_render(
    pools: Pools, fd: int, seconds: float = math.inf
) -> tuple[asyncio.Task[tuple[VideoInfo, FrameBatch]], int]:
    """A job whose GPU worker is stopped, and that worker's id."""
    _, gpu, pool = pools
    (pid,) = gpu.pids
    os.kill(pid, signal.SIGSTOP)

    async def sample() -> tuple[VideoInfo, FrameBatch]:
        with anyio.fail_after(seconds):
            return await pool.sample(fd, SPREAD, SIDE)

    job = asyncio.create_task(sample())
    await until(lambda: not gpu.has_idle)
    return job, pid


@needs_torchcodec
@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=["killed", "stuck"])
async def test_a_gpu_worker_that_ends_or_hangs_costs_no_answer(
    end: signal.Signals | None, pools: Pools, plain_clip: bytes
) -> None:
    failures, gpu, pool = pools
    before = count_open_files()
    with descriptor(plain_clip) as fd:
        job, pid = await frozen_render(pools, fd, seconds=3)
        if end is not None:
            os.kill(pid, end)
        assert numbers((await job)[1]) == NUMBERS
        assert len(failures) == 1
        await until(lambda: gpu.has_idle)
        assert not is_alive(pid)
        # no name for the frames: their memory has a descriptor as long as they live
        assert numbers((await pool.sample(fd, SPREAD, SIDE))[1]) == NUMBERS
    assert len(failures) == 1
    assert count_open_files() == before


@needs_torchcodec
async def test_a_cancelled_request_ends_the_rendering(pools: Pools, plain_clip: bytes) -> None:
    failures, _, pool = pools
    with descriptor(plain_clip) as fd:
        job, pid = await frozen_render(pools, fd)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        # nobody waits for the process that takes its place
        _, batch = await pool.sample(fd, SPREAD, SIDE)
    await until(lambda: not is_alive(pid))
    assert failures == []
    assert numbers(batch) == NUMBERS


@needs_torchcodec
async def test_while_the_gpu_worker_is_busy_decode_workers_decode(
    pools: Pools, plain_clip: bytes
) -> None:
    failures, _, pool = pools
    with descriptor(plain_clip) as fd:
        job, pid = await frozen_render(pools, fd)
        _, batch = await pool.sample(fd, SPREAD, SIDE)
        assert not job.done()
        os.kill(pid, signal.SIGCONT)
        _, rendered = await job
    assert failures == []
    assert numbers(rendered) == numbers(batch) == NUMBERS


@needs_torchcodec
async def test_the_gpu_worker_is_limited_as_far_as_a_driver_allows(pools: Pools) -> None:
    _, gpu, _ = pools
    (pid,) = gpu.pids
    limits = Path(f"/proc/{pid}/limits").read_text()
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    names = {item.partition(b"=")[0] for item in environment}
    assert "NoNewPrivs:\t1" in status_of(pid)
    for name in ("file", "core file"):
        assert f"Max {name} size".ljust(26) + "0" in limits
    assert names <= {
        *(name.encode() for name in gpu_environment()),
        *(b"PYTHONPATH", b"OPENBLAS_NUM_THREADS", b""),
        *(b"MALLOC_MMAP_THRESHOLD_", b"MALLOC_TRIM_THRESHOLD_", b"MALLOC_TOP_PAD_"),
        b"GLIBC_TUNABLES",
    }


async def test_where_there_is_no_such_device_videos_are_decoded_on_the_cpu(
    plain_clip: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    failures: list[str] = []
    with descriptor(plain_clip) as fd:
        async with gpu_pool(failures, device="cuda:99") as gpu, pool_with(gpu) as pool:
            await until(lambda: gpu.pids)
            await until(lambda: not gpu.pids)
            _, batch = await pool.sample(fd, SPREAD, SIDE)
            assert (gpu.has_idle, gpu.pids) == (False, frozenset())
    assert failures == []
    assert numbers(batch) == NUMBERS
    assert "no decoding on the GPU: " in capfd.readouterr().err


@needs_torchcodec
@pytest.mark.parametrize(
    ("encoder_on", "decode_device", "expected"),
    [("cuda", "auto", 1), ("cuda", "cpu", 0), ("cpu", "auto", 0)],
)
def test_the_service_starts_a_gpu_worker_only_beside_an_encoder_on_a_gpu(
    make_settings: Callable[..., Settings], encoder_on: str, decode_device: str, expected: int
) -> None:
    settings = make_settings(decode_device=decode_device)
    before = child_processes("app.decode.gpu_worker")
    with open_client(settings, tagger=replace(colour_tagger(), device=encoder_on)) as client:
        assert client.get("/healthz").status_code == 200
        assert len(child_processes("app.decode.gpu_worker") - before) == expected
