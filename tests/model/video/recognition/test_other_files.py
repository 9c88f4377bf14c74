"""What is said about files that are no videos, and about containers that are cut short."""

import io
from typing import Any

import numpy as np
import pytest

from model.errors import CorruptVideo, NotAVideo
from model.video.reader import VideoInfo, probe
from tests.support.clips import clip_bytes, sound_bytes, still_bytes

TEN_SECONDS: dict[str, Any] = {"seconds_colours": ["red", "blue"] * 5, "numbered": True}
FASTSTART = {"container_options": {"movflags": "faststart"}}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", r"a web page \(HTML\)"),
        (b"\xef\xbb\xbf\n <HTML lang=en>", r"a web page \(HTML\)"),
        (b'<?xml version="1.0"?><MPD profiles="x">', "MPEG-DASH"),
        (b"#EXTM3U\n#EXTINF:3,\na.ts\n", "a playlist"),
        (b"ID3\x03\0\0\0\0\0\0" + bytes(100), "an MP3 sound file"),
        (b"\xff\xfb\x90\x64" + bytes(400), "an MP3 sound file"),
        (b"\xff\xf1\x50\x80" + bytes(400), "an AAC sound file"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(100), "a WAV sound file"),
        (b"fLaC" + bytes(100), "a FLAC sound file"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04" + bytes(100), "unpack it"),
        (b"\x1f\x8b\x08" + bytes(100), "a gzip archive"),
        (b".RMF\0\0\0\x12" + bytes(100), "RealMedia"),
        (b"YUV4MPEG2 W64 H48 F25:1\n", "uncompressed video"),
        (b"\0\0\x01\xb3\x0a\0\x5a\x13" + bytes(100), "a raw MPEG-1 or MPEG-2 stream"),
        (b"\x12\0\x0a\x0a" + bytes(100), "a raw AV1 stream"),
        (still_bytes("jpeg") * 3, "a series of JPEGs"),
        (b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + bytes(100), "a series of JPEGs"),
        (b'{"error": "no such file"}', "JSON"),
        (b"Internal Server Error", "a text"),
        (bytes(5000), "only zero bytes"),
    ],
)
def test_a_file_that_is_no_video_is_named(data: bytes, text: str) -> None:
    with pytest.raises(NotAVideo, match=f"this is .*{text}.*Allowed are MP4, .*MXF.*GIF"):
        probe(io.BytesIO(data))


def test_unknown_bytes_are_told_what_is_allowed() -> None:
    noise = np.random.default_rng(0).bytes(5000)

    with pytest.raises(NotAVideo, match=r"no allowed video format.*Allowed are MP4"):
        probe(io.BytesIO(b"\x07" + noise))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_mp4_whose_index_is_missing_says_so(share: float) -> None:
    data = clip_bytes(**TEN_SECONDS)

    with pytest.raises(CorruptVideo, match=r"its index \(the moov box\) is missing"):
        probe(io.BytesIO(data[: int(data.index(b"moov") * share)]))


def test_a_segment_of_a_stream_is_told_what_it_lacks() -> None:
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    data = clip_bytes(container_options=fragments)
    segment = data[data.index(b"moof") - 4 :]

    with pytest.raises(CorruptVideo, match=r"a segment of a stream.*cat init\.mp4 segment\.m4s"):
        probe(io.BytesIO(segment))
    assert probe(io.BytesIO(data)).codec == "h264"


def info_of_part(data: bytes, share: float) -> VideoInfo:
    return probe(io.BytesIO(data[: int(len(data) * share)]))


@pytest.mark.parametrize(
    "options",
    [
        FASTSTART,
        {"container": "matroska"},
        {"container": "webm", "codec": "libvpx"},
        {"container": "avi", "codec": "mpeg4"},
        {"container": "asf", "codec": "wmv2"},
        {"container": "flv", "codec": "flv"},
        {"container": "mxf", "codec": "mpeg2video", "fps": 25},
    ],
    ids=lambda options: options.get("container", "mp4"),
)
def test_a_file_that_is_cut_short_ends_early_and_says_so(options: dict[str, Any]) -> None:
    data = clip_bytes(**TEN_SECONDS | options)

    whole, half = probe(io.BytesIO(data)), info_of_part(data, 0.6)

    assert whole.warnings == ()
    assert 1 < half.duration_seconds < 9.5
    [warning] = [text for text in half.warnings if "ends early" in text]
    assert "the header says 10.0 s" in warning
    assert f"the file holds {half.duration_seconds:.1f} s" in warning


@pytest.mark.parametrize(
    "options",
    [
        {"container_options": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}},
        {"container": "ivf", "codec": "libvpx"},
    ],
    ids=["fragmented MP4", "IVF"],
)
def test_a_file_without_its_length_that_is_cut_short_says_so(options: dict[str, Any]) -> None:
    data = clip_bytes(**TEN_SECONDS, **options)

    assert probe(io.BytesIO(data)).warnings == ()
    assert any("ends early" in warning for warning in info_of_part(data, 0.6).warnings)


def test_sound_that_is_longer_than_the_video_is_no_early_end() -> None:
    for container in ("mp4", "matroska", "avi"):
        codec = {"codec": "mpeg4"} if container == "avi" else {}
        data = clip_bytes(
            **TEN_SECONDS, container=container, audio=True, frame_times=[0, 0.1], **codec
        )
        assert not any("ends early" in text for text in probe(io.BytesIO(data)).warnings)


def test_a_recording_without_lengths_is_not_said_to_end_early() -> None:
    live = clip_bytes(
        **TEN_SECONDS, codec="libvpx", container="webm", container_options={"live": "1"}
    )

    assert info_of_part(live, 0.6).warnings == ()


def test_sound_in_a_video_container_is_not_called_a_sound_file() -> None:
    with pytest.raises(Exception, match="contains no video stream"):
        probe(io.BytesIO(sound_bytes()))
