"""What a decode worker does with one request, in this process."""

import io
import os
import socket
from collections.abc import Iterator

import numpy as np
import pytest

from app.decode.frame_layout import times_and_frames
from app.decode.frame_memory import FrameFile
from app.decode.protocol import (
    Answer,
    Decode,
    Failure,
    FrameOptions,
    FramesLocated,
    FramesWritten,
    Probe,
    Sample,
    StartDecoding,
    VideoFacts,
    encode,
)
from app.decode.wire import ProtocolError
from app.decode.worker import answer_job
from app.decode.worker_loop import SharedFile, read_arguments, receive_jobs
from model.video.reader import VideoLimits, decode, probe
from model.video.sampling import SamplingConfig
from tests.support.clips import clip_bytes
from tests.support.pools import descriptor

OPTIONS = FrameOptions(48, False, 1)
FOUR = SamplingConfig(clips=1, frames_per_clip=4)
TIMES = np.array([0.25, 0.75, 1.25, 1.75])
# A limit of processor time on this very process, which must not end it.
PLENTY_SECONDS = 10**7


@pytest.fixture(scope="module")
def video() -> bytes:
    return clip_bytes(seconds_colours=["red", "blue"], fps=10)


def work(
    request: Probe | Decode | Sample,
    video: bytes,
    memory: FrameFile | None = None,
    limits: VideoLimits | None = None,
    kept: bytearray | None = None,
) -> Answer:
    with descriptor(video) as fd:
        fds = [fd] if memory is None else [fd, memory.fd]
        return answer_job(request, fds, limits or VideoLimits(), memoryview(kept or b""))


def test_a_probe_is_answered_with_the_facts(video: bytes) -> None:
    assert work(Probe(), video) == VideoFacts(probe(io.BytesIO(video)))


def test_frames_are_written_into_the_memory_file(video: bytes) -> None:
    with FrameFile(TIMES, 48) as memory:
        answer = work(Decode(TIMES.size, OPTIONS), video, memory)
        assert isinstance(answer, FramesWritten)
        batch = memory.batch(answer.height, answer.width, answer.warnings)

        expected = decode(io.BytesIO(video), TIMES, short_side=48)
        np.testing.assert_array_equal(batch.frames, expected.frames)
        np.testing.assert_array_equal(batch.timestamps_seconds, expected.timestamps_seconds)


def test_frames_are_written_into_the_kept_memory(video: bytes) -> None:
    kept = bytearray(1 << 20)

    answer = work(Sample(FOUR, OPTIONS, in_kept_memory=True), video, kept=kept)

    assert isinstance(answer, FramesWritten)
    times, frames = times_and_frames(memoryview(kept), (4, answer.height, answer.width, 3))
    expected = decode(io.BytesIO(video), times, short_side=48)
    np.testing.assert_array_equal(frames, expected.frames)


def test_a_plain_video_is_located_for_the_gpu_instead_of_decoded() -> None:
    video = clip_bytes(seconds_colours=["red", "blue"], fps=10, width=128, height=96)

    with FrameFile(TIMES, 48) as memory:
        answer = work(Sample(FOUR, OPTIONS, locate=True), video, memory)

    assert isinstance(answer, FramesLocated)
    assert (answer.height, answer.width) == (48, 64)


def test_a_video_that_cannot_be_used_is_a_failure_with_its_code(video: bytes) -> None:
    damaged = work(Probe(), b"no video at all")
    too_long = work(Probe(), video, limits=VideoLimits(max_duration_seconds=1.0))

    assert isinstance(damaged, Failure)
    assert isinstance(too_long, Failure)
    assert (damaged.code, too_long.code) == ("not_a_video", "too_long")


def test_a_shared_file_reads_by_position_and_leaves_the_offset_alone() -> None:
    with descriptor(b"0123456789") as fd:
        os.lseek(fd, 3, os.SEEK_SET)
        file = SharedFile(fd)

        assert file.read(2) == b"01"
        assert file.seek(-1, os.SEEK_END) == 9
        assert file.read(5) == b"9"
        assert file.seek(4) == 4
        assert file.seek(1, os.SEEK_CUR) == 5
        assert file.read(1) == b"5"
        assert os.lseek(fd, 0, os.SEEK_CUR) == 3


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_requests_come_with_descriptors_that_are_closed_afterwards(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    pool, worker = connection
    jobs = receive_jobs(worker, PLENTY_SECONDS, [Probe])
    with descriptor(b"video") as fd:
        socket.send_fds(pool, [encode(Probe())], [fd])
    pool.shutdown(socket.SHUT_WR)

    request, [received] = next(jobs)
    assert request == Probe()
    assert os.pread(received, 5, 0) == b"video"
    assert list(jobs) == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(received)


def test_a_message_that_is_no_request_of_the_worker_is_refused(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    pool, worker = connection
    pool.send(encode(Decode(1, OPTIONS)))

    with pytest.raises(ProtocolError):
        next(receive_jobs(worker, PLENTY_SECONDS, [Probe]))


def test_a_start_message_of_another_version_ends_the_program_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = StartDecoding(VideoLimits(), 1 << 30, 60)
    monkeypatch.setattr("sys.argv", ["worker", encode(start).decode(), "3", "4"])
    assert read_arguments(StartDecoding) == (start, [3, 4])

    monkeypatch.setattr("sys.argv", ["worker", "{}", "3", "4"])
    with pytest.raises(SystemExit) as ended:
        read_arguments(StartDecoding)
    assert ended.value.code == os.EX_PROTOCOL
    assert capsys.readouterr().err
