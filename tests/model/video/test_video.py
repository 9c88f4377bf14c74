"""Facts about a video, the frames at given times, and the files that are refused."""

import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from model.errors import (
    CorruptVideo,
    EncryptedVideo,
    NoFrames,
    NotAVideo,
    NoVideoStream,
    PictureTooLarge,
    StillPicture,
    UnsupportedCodec,
    VideoError,
    VideoTooLong,
)
from model.video.container import check_size
from model.video.reader import FrameBatch, VideoInfo, VideoLimits, decode, open_video, probe
from tests.support.clips import clip_bytes, read_number, sound_bytes, still_bytes, write_clip

ENCRYPTION = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "00112233445566778899aabbccddeeff",
    "encryption_kid": "0123456789abcdef0123456789abcdef",
}


def info_of(**options: Any) -> VideoInfo:
    return probe(io.BytesIO(clip_bytes(**options)))


def numbers_at(data: bytes, times: ArrayLike, **options: Any) -> list[int]:
    batch = decode(io.BytesIO(data), times, short_side=48, **options)
    return [read_number(frame) for frame in batch.frames]


@pytest.mark.parametrize(
    ("options", "duration", "fps", "width", "height", "rotation", "codec"),
    [
        ({}, 3, 10, 64, 48, 0, "h264"),
        ({"b_frames": 3}, 3, 10, 64, 48, 0, "h264"),
        ({"first_timestamp": 2.5}, 3, 10, 64, 48, 0, "h264"),
        ({"first_timestamp": -0.2}, 2.8, 10, 64, 48, 0, "h264"),
        ({"rotation": 90}, 3, 10, 48, 64, 90, "h264"),
        ({"rotation": 180}, 3, 10, 64, 48, 180, "h264"),
        ({"rotation": 270}, 3, 10, 48, 64, 270, "h264"),
        ({"sample_aspect": Fraction(2)}, 3, 10, 128, 48, 0, "h264"),
        ({"sample_aspect": Fraction(3, 2), "rotation": 90}, 3, 10, 48, 96, 90, "h264"),
        ({"width": 65, "height": 33, "pixel_format": "yuv444p"}, 3, 10, 65, 33, 0, "h264"),
        ({"frame_times": [0, 0.1, 0.15, 0.9, 1.0, 2.5]}, 2.6, 6 / 2.6, 64, 48, 0, "h264"),
        ({"audio": True, "attached_picture": True}, 3, 10, 64, 48, 0, "h264"),
        ({"seconds_colours": ["red"], "fps": 1}, 1, 1, 64, 48, 0, "h264"),
        ({"container": "mpegts"}, 3, 10, 64, 48, 0, "h264"),
        ({"container": "matroska"}, 3, 10, 64, 48, 0, "h264"),
        ({"container": "avi", "codec": "mpeg4"}, 3, 10, 64, 48, 0, "mpeg4"),
        (
            {"container": "avi", "codec": "mjpeg", "pixel_format": "yuvj420p"},
            *(3, 10, 64, 48, 0, "mjpeg"),
        ),
        ({"container": "mpeg", "codec": "mpeg2video", "fps": 25}, 3, 25, 64, 48, 0, "mpeg2video"),
        ({"container": "webm", "codec": "libvpx-vp9"}, 3, 10, 64, 48, 0, "vp9"),
        # A browser's recording has no duration in its header.
        (
            {"container": "webm", "codec": "libvpx", "container_options": {"live": "1"}},
            *(3, 10, 64, 48, 0, "vp8"),
        ),
        ({"codec": "libx265"}, 3, 10, 64, 48, 0, "hevc"),
    ],
)
def test_facts_describe_the_video(
    options: Any, duration: float, fps: float, width: int, height: int, rotation: int, codec: str
) -> None:
    info = info_of(**options)
    assert info.duration_seconds == pytest.approx(duration, abs=1e-3)
    assert info.frames_per_second == pytest.approx(fps)
    assert (info.width, info.height) == (width, height)
    assert info.rotation == rotation
    assert info.codec == codec


def test_a_false_duration_in_the_header_is_corrected() -> None:
    data = clip_bytes(numbered=True)
    for wrong in (0x7FFFFFF0, 1):
        patched = bytearray(data)
        media_header = patched.index(b"mdhd")
        patched[media_header + 20 : media_header + 24] = wrong.to_bytes(4, "big")
        info = probe(io.BytesIO(patched))
        assert info.duration_seconds == pytest.approx(3, abs=0.11)


def test_a_truncated_video_is_as_long_as_what_is_left() -> None:
    data = clip_bytes(
        seconds_colours=["red"] * 10, numbered=True, container_options={"movflags": "faststart"}
    )
    cut = data[: -len(data) // 4]
    info = probe(io.BytesIO(cut))
    assert 1 < info.duration_seconds < 9
    present = round(info.duration_seconds * 10)
    last = numbers_at(cut, [info.duration_seconds - 0.01])[0]
    assert present - 2 <= last < present


def test_recordings_joined_end_to_end_are_one_video() -> None:
    piece = clip_bytes(container="mpegts", numbered=True)
    joined = piece + piece
    assert probe(io.BytesIO(joined)).duration_seconds == pytest.approx(6)
    assert numbers_at(joined, [0.05, 2.95, 3.05, 5.95]) == [0, 29, 0, 29]


def test_frame_rates_over_the_limit_are_reported_as_the_limit() -> None:
    info = info_of(fps=1000, frame_times=[number / 1000 for number in range(50)])
    assert info.frames_per_second == 240
    assert info.warnings == ("1000 frames/s are taken as 240",)


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"seconds_colours": ["red"], "fps": 1}, "only one frame: it stands for the whole video"),
        ({"pixel_format": "yuv420p10le"}, "10 bits per colour are reduced to 8"),
        ({"transfer": 16}, "HDR (PQ) is tone mapped"),
        ({"transfer": 18}, "HDR (HLG) is tone mapped"),
    ],
)
def test_doubtful_properties_give_a_warning(options: Any, warning: str) -> None:
    assert info_of(**options).warnings == (warning,)


def test_each_time_gets_the_frame_displayed_then_in_the_given_order() -> None:
    data = clip_bytes(numbered=True, b_frames=2)
    times = [2.95, 0.0, 1.0, 0.999, 1.05, 1.05, -3.0, 99.0]
    batch = decode(io.BytesIO(data), times, short_side=48)
    assert [read_number(frame) for frame in batch.frames] == [29, 0, 10, 9, 10, 10, 0, 29]
    assert batch.timestamps_seconds == pytest.approx([2.9, 0, 1, 0.9, 1, 1, 0, 2.9])


def test_colours_are_those_of_their_second() -> None:
    data = clip_bytes(seconds_colours=["red", "green", "blue"])
    batch = decode(io.BytesIO(data), [0.5, 1.5, 2.5], short_side=32)
    assert batch.frames.mean(axis=(1, 2)).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_frames_are_rotated_for_display(rotation: int, mirrored: bool) -> None:
    data = clip_bytes(numbered=True, rotation=rotation, mirrored=mirrored)
    frame = decode(io.BytesIO(data), [2.05], short_side=48).frames[0]
    if mirrored:
        frame = frame[:, ::-1]
    assert read_number(np.rot90(frame, rotation // 90)) == 20


@pytest.mark.parametrize(
    ("options", "short_side", "shape"),
    [
        ({"width": 64, "height": 48}, 32, (32, 42)),
        ({"width": 48, "height": 64}, 32, (42, 32)),
        ({"width": 64, "height": 64}, 33, (33, 33)),
        ({"width": 64, "height": 48, "rotation": 90}, 32, (42, 32)),
        ({"width": 64, "height": 48, "sample_aspect": Fraction(2)}, 24, (24, 64)),
        ({"width": 640, "height": 32}, 16, (16, 64)),
        ({"width": 32, "height": 16}, 64, (64, 128)),
    ],
)
def test_frames_are_scaled_to_the_short_side(
    options: Any, short_side: int, shape: tuple[int, int]
) -> None:
    data = clip_bytes(seconds_colours=["red"], **options)
    assert decode(io.BytesIO(data), [0.0], short_side=short_side).frames.shape == (1, *shape, 3)


def test_keyframes_only_takes_the_last_keyframe() -> None:
    data = clip_bytes(
        seconds_colours=["red"] * 6, numbered=True, gop=12, codec_options={"sc_threshold": "0"}
    )
    times = [0.0, 1.1, 1.25, 5.9]
    assert numbers_at(data, times, keyframes_only=True) == [0, 0, 12, 48]
    assert numbers_at(data, times) == [0, 11, 12, 59]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"b_frames": 3},
        {"first_timestamp": 2.5},
        {"first_timestamp": -0.2},
        {"container": "matroska"},
        {"container": "mpegts"},
        {"container": "avi", "codec": "mpeg4"},
    ],
)
def test_a_keyframe_is_decoded_alone(options: Any) -> None:
    lossless = {} if "codec" in options else {"codec_options": {"sc_threshold": "0"}}
    data = clip_bytes(seconds_colours=["red"] * 6, numbered=True, gop=12, **{**lossless, **options})
    with open_video(io.BytesIO(data)) as video:
        key = video.keyframe_before(3.0)
        assert key is not None
        assert 1.2 < key <= 3.0
        batch = video.decode([key], short_side=48)
        # With the first frame and what its decoder held back; a group of pictures has twelve.
        assert video.decoded_packets <= 6
        np.testing.assert_allclose(batch.timestamps_seconds, [key])
        assert video.keyframe_before(-1.0) is None


def test_no_keyframe_is_found_in_containers_that_cannot_be_seeked() -> None:
    data = clip_bytes(container="mpeg", codec="mpeg1video", fps=25)
    with open_video(io.BytesIO(data)) as video:
        assert video.keyframe_before(2.0) is None


def test_one_opening_serves_several_decodes() -> None:
    with open_video(io.BytesIO(clip_bytes(numbered=True))) as video:
        for times, expected in (([0.1, 2.0], [1, 20]), ([1.5], [15]), ([0.0], [0])):
            batch = video.decode(times, short_side=48)
            assert [read_number(frame) for frame in batch.frames] == expected


@pytest.mark.parametrize("times", [[], [float("nan")], [float("inf")], [[0.0]]])
def test_times_that_are_not_finite_numbers_are_refused(times: ArrayLike) -> None:
    with pytest.raises(ValueError, match="finite number"):
        decode(io.BytesIO(clip_bytes()), times, short_side=32)


def test_a_batch_checks_its_shapes_and_prints_no_pixels() -> None:
    frames, times = np.zeros((2, 4, 6, 3), np.uint8), np.zeros(2)
    assert repr(FrameBatch(frames, times)) == "FrameBatch(frames=(2, 4, 6, 3), warnings=())"
    with pytest.raises(ValueError, match="uint8"):
        FrameBatch(frames.astype(np.float32), times)
    with pytest.raises(ValueError, match="float64 times"):
        FrameBatch(frames, times[:1])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"", NotAVideo, id="empty"),
        pytest.param(b"hello, this is no video\n" * 99, NotAVideo, id="text"),
        pytest.param(bytes(5000), NotAVideo, id="zeros"),
        pytest.param(b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42", CorruptVideo, id="ftyp"),
        pytest.param(b"\x1aE\xdf\xa3" + bytes(300), CorruptVideo, id="matroska-head"),
    ],
)
def test_bytes_without_a_video_are_refused(data: bytes, error: type[VideoError]) -> None:
    with pytest.raises(error):
        probe(io.BytesIO(data))


@pytest.mark.parametrize("kind", ["png", "apng", "jpeg", "gif", "avif"])
def test_images_are_refused(kind: str) -> None:
    with pytest.raises(StillPicture):
        probe(io.BytesIO(still_bytes(kind)))


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_files_without_a_video_stream_are_refused(container: str) -> None:
    with pytest.raises(NoVideoStream):
        probe(io.BytesIO(sound_bytes(container)))


@pytest.mark.parametrize(("codec", "container"), [("magicyuv", "avi"), ("rawvideo", "avi")])
def test_codecs_off_the_list_are_named_and_refused(codec: str, container: str) -> None:
    with pytest.raises(UnsupportedCodec, match=codec):
        info_of(codec=codec, container=container)


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(UnsupportedCodec):
        probe(io.BytesIO(clip_bytes().replace(b"avc1", b"xyzw")))


@pytest.mark.parametrize("audio", [False, True])
def test_encrypted_videos_are_told_from_damaged_ones(audio: bool) -> None:
    with pytest.raises(EncryptedVideo):
        info_of(audio=audio, container_options=ENCRYPTION)


def test_encryption_that_hides_the_codec_is_recognised() -> None:
    with pytest.raises(EncryptedVideo):
        probe(io.BytesIO(clip_bytes().replace(b"avc1", b"encv")))


def test_a_video_without_a_readable_frame_has_no_frames() -> None:
    data = bytearray(clip_bytes(container_options={"movflags": "faststart"}))
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    with pytest.raises(NoFrames):
        probe(io.BytesIO(data))


def test_damage_costs_the_damaged_packets_only() -> None:
    data = bytearray(clip_bytes(seconds_colours=["red"] * 6, numbered=True, container="mpegts"))
    rng = np.random.default_rng(0)
    for position in rng.integers(len(data) // 3, len(data) // 2, 60):
        data[position] ^= 0x55
    batch = decode(io.BytesIO(data), [0.05, 5.95], short_side=48)
    assert [read_number(frame) for frame in batch.frames] == [0, 59]


def test_more_damage_than_the_limit_ends_the_decoding() -> None:
    data = bytearray(clip_bytes(seconds_colours=["red"] * 6, gop=1))
    start, end = data.index(b"mdat") + 4, data.index(b"moov")
    third = start + (end - start) // 3
    data[third:end] = bytes(end - third)
    whole = decode(io.BytesIO(data), [0.0, 5.9], short_side=32)
    assert whole.warnings
    strict = VideoLimits(max_bad_packets=3)
    few = decode(io.BytesIO(data), [0.0, 5.9], short_side=32, limits=strict)
    assert few.warnings == ("4 damaged packets were left out",)


@pytest.mark.parametrize(
    ("width", "height"),
    [(4096, 2160), (5312, 2988), (5312, 4648), (7680, 4320), (8192, 4320), (8192, 4608)],
)
def test_the_pictures_of_cameras_are_within_the_default_limit(width: int, height: int) -> None:
    check_size(width, height, VideoLimits())


def test_videos_over_a_limit_are_refused() -> None:
    data = clip_bytes()
    with pytest.raises(VideoTooLong, match=r"is 3\.0 s long, the limit is 2 s"):
        probe(io.BytesIO(data), VideoLimits(max_duration_seconds=2))
    with pytest.raises(PictureTooLarge, match="64x48"):
        probe(io.BytesIO(data), VideoLimits(max_pixels=64 * 47))
    with pytest.raises(VideoTooLong, match="more than 9 frames"):
        decode(io.BytesIO(data), [2.9], short_side=32, limits=VideoLimits(max_walked_frames=9))


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile 'victim.mp4'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nvictim.mp4\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_playlist_cannot_open_another_file(
    playlist: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "victim.mp4")
    monkeypatch.chdir(tmp_path)
    for name in ("list.m3u8", "list.ffconcat", "video.mp4"):
        file = tmp_path / name
        file.write_text(playlist)
        with file.open("rb") as stream, pytest.raises(NotAVideo):
            probe(stream)


def test_errors_of_the_file_object_pass_unchanged() -> None:
    class Failing(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            if self.reads > 1:
                raise OSError("the disk is gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is gone"):
        probe(Failing(clip_bytes()))


def test_video_loads_no_torch() -> None:
    code = "import model.video.reader, model.video.sampling, sys; print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize("gop", [10, 9999], ids=["seeking", "reading on"])
def test_memory_does_not_grow_with_the_videos_length(gop: int, tmp_path: Path) -> None:
    peaks = []
    for seconds in (10, 1000):
        path = tmp_path / f"{seconds}.mp4"
        colours = ["red"] * seconds
        write_clip(path, seconds_colours=colours, fps=5, width=160, height=120, gop=gop)
        code = (
            "import numpy as np, resource\n"
            "from model.video.reader import decode\n"
            f"times = np.linspace(0, {seconds}, 8)\n"
            f"decode(open({str(path)!r}, 'rb'), times, short_side=32)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        answer = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        peaks.append(int(answer.stdout))
    # A thousand seconds of these frames are 140 MB; the index of 5,000 entries may count.
    assert peaks[1] - peaks[0] < 12_000
