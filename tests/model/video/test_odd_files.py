"""How every file of a collection of odd files is read; each expectation was checked by hand.

An expectation is the codec and the displayed size of a video that can be tagged, or the code of an
error.
The doubtful ones:

- `av1-clearkey-cbcs-video` describes an encrypted track, but all its frames are in the clear.
- `no_timescale` is damaged throughout, yet 170 frames come out, half green.
- `test-corrupt`, `test_case_1185230`, `zero_empty_stsc`, `invalid_userdata` and
  `bipbop_nonfragment_header` have intact headers and no intact frame behind them.
- The `colr` files are two pixels wide; three of them claim to be HDR.
"""

from pathlib import Path

import numpy as np
import pytest

from model.errors import VideoError
from model.video.reader import open_video
from tests.support.paths import SHARED

ODD_FILES = SHARED / "badvideo"

pytestmark = pytest.mark.shared

EXPECTED = {
    "danbooru__ablobgift.gif": "gif 128x128",
    "danbooru__corrupt-static.gif": "still_picture",
    "danbooru__countergirl-whitebg-noalpha.gif": "still_picture",
    "danbooru__countergirl.gif": "still_picture",
    "danbooru__padoru.gif": "gif 128x128",
    "danbooru__test-300x300-3gp5.mp4": "h264 300x300",
    "danbooru__test-300x300-av1.mp4": "av1 300x300",
    "danbooru__test-300x300-h265.mp4": "hevc 300x300",
    "danbooru__test-300x300-invalid-utf8-metadata.mp4": "h264 300x300",
    "danbooru__test-300x300-iso4.mp4": "h264 300x300",
    "danbooru__test-300x300-mpeg4.mp4": "mpeg4 300x300",
    "danbooru__test-300x300-vp9.mp4": "vp9 300x300",
    "danbooru__test-300x300-yuv444p-h264.mp4": "h264 300x300",
    "danbooru__test-300x300-yuvj420p-h264.mp4": "h264 300x300",
    "danbooru__test-300x300.mp4": "h264 300x300",
    "danbooru__test-512x512.mkv": "h264 512x512",
    "danbooru__test-512x512.webm": "vp8 512x512",
    "danbooru__test-aac.webm": "vp9 1280x720",
    "danbooru__test-animated-1.2s.gif": "gif 241x286",
    "danbooru__test-animated-3.35s.gif": "gif 241x178",
    "danbooru__test-animated-400x281.gif": "gif 400x281",
    "danbooru__test-animated-86x52-loop-1.gif": "gif 86x52",
    "danbooru__test-animated-86x52-loop-2.gif": "gif 86x52",
    "danbooru__test-animated-86x52.gif": "gif 86x52",
    "danbooru__test-audio-ac3.mp4": "h264 1280x720",
    "danbooru__test-audio-mp2.mp4": "h264 1280x720",
    "danbooru__test-audio-mp3.mp4": "h264 1280x720",
    "danbooru__test-audio-opus.mp4": "h264 1280x720",
    "danbooru__test-audio-vorbis.mp4": "h264 1280x720",
    "danbooru__test-audio.m4v": "h264 1280x720",
    "danbooru__test-audio.mp4": "h264 1280x720",
    "danbooru__test-audio.webm": "vp9 1280x720",
    "danbooru__test-av1.webm": "av1 512x512",
    "danbooru__test-corrupt.gif": "still_picture",
    "danbooru__test-corrupt.mp4": "no_frames",
    "danbooru__test-gbrp-vp9.webm": "vp9 512x512",
    "danbooru__test-hevc.webm": "hevc 512x512",
    "danbooru__test-iso5.mp4": "h264 1280x864",
    "danbooru__test-silent-audio.mp4": "h264 300x300",
    "danbooru__test-silent-audio.webm": "vp8 512x512",
    "danbooru__test-static-32x32.gif": "still_picture",
    "danbooru__test-yuv420p10le-av1.mp4": "av1 720x480",
    "danbooru__test-yuv420p10le-h264.mp4": "h264 720x480",
    "danbooru__test-yuv420p10le-vp9.mp4": "vp9 720x480",
    "danbooru__test-yuv420p10le-vp9.webm": "vp9 720x480",
    "danbooru__test.gif": "still_picture",
    "mozilla__afconvert-aac-0.5s.mp4": "no_video_stream",
    "mozilla__amr_nb_1f.3gp": "no_video_stream",
    "mozilla__amr_wb_1f.3gp": "no_video_stream",
    "mozilla__av1-clearkey-cbcs-video.mp4": "av1 160x90",
    "mozilla__bbb_sunflower_QCIF_30fps_h263_noaudio_1f.3gp": "h263 216x144",
    "mozilla__bbb_sunflower_QCIF_30fps_mp4v_noaudio_1f.mp4": "mpeg4 256x144",
    "mozilla__bipbop-cenc-audioinit.mp4": "no_video_stream",
    "mozilla__bipbop_480wp_1001kbps-cenc-video-key1-init.mp4": "encrypted",
    "mozilla__bipbop_audioinit.mp4": "no_video_stream",
    "mozilla__bipbop_cbcs_audio_init.mp4": "no_video_stream",
    "mozilla__bipbop_cbcs_video_init.mp4": "encrypted",
    "mozilla__bipbop_nonfragment_header.mp4": "no_frames",
    "mozilla__chunk_out_of_range.mp4": "corrupt",
    "mozilla__h264_white_frame_sar_16_9.mp4": "h264 1138x480",
    "mozilla__hevc_white_frame.mp4": "hevc 640x480",
    "mozilla__invalid_userdata.mp4": "no_frames",
    "mozilla__metadata.mp4": "h264 320x240",
    "mozilla__metadata_gnre.mp4": "h264 320x240",
    "mozilla__minimal.mp4": "h264 320x240",
    "mozilla__no_timescale.mp4": "h264 320x240",
    "mozilla__opus_audioinit.mp4": "no_video_stream",
    "mozilla__opus_audioinit_two_desc.mp4": "no_video_stream",
    "mozilla__short-cenc.mp4": "encrypted",
    "mozilla__sine-3s-xhe-aac-44khz-mono.mp4": "no_video_stream",
    "mozilla__test_case_1185230.mp4": "no_frames",
    "mozilla__tiny_av1.mp4": "av1 64x64",
    "mozilla__video_colr_nclx_and_icc.mp4": "h264 2x2",
    "mozilla__video_colr_nclx_hdr10.mp4": "h264 2x2",
    "mozilla__video_colr_nclx_hdr10_full_range.mp4": "h264 2x2",
    "mozilla__video_colr_nclx_hlg.mp4": "h264 2x2",
    "mozilla__video_colr_nclx_hlg_full_range.mp4": "h264 2x2",
    "mozilla__video_colr_nclx_rgb.mp4": "h264 2x2",
    "mozilla__video_colr_nclx_two_colr.mp4": "h264 2x2",
    "mozilla__video_rotation_90.mp4": "h264 60x100",
    "mozilla__white.mp4": "h264 320x240",
    "mozilla__zero_empty_stsc.mp4": "no_frames",
}


def test_the_table_names_every_file() -> None:
    present = {path.name for path in ODD_FILES.iterdir() if path.suffix not in (".md", ".csv")}
    assert present == set(EXPECTED)


def read_as(path: Path) -> str:
    """Decode frames from all over the video and return what the table says of it."""
    try:
        with path.open("rb") as file, open_video(file) as video:
            info = video.info
            times = np.linspace(0, info.duration_seconds, 8, endpoint=False)
            batch = video.decode(times, short_side=32)
    except VideoError as error:
        return error.code
    assert batch.frames.shape[0] == 8
    assert min(batch.frames.shape[1:3]) == 32
    assert 0 < info.duration_seconds < 60
    assert 0 < info.frames_per_second <= 240
    assert (batch.timestamps_seconds <= times + 1e-6).all()
    return f"{info.codec} {info.width}x{info.height}"


@pytest.mark.parametrize("name", EXPECTED)
def test_odd_file_is_read_as_what_it_is(name: str) -> None:
    assert read_as(ODD_FILES / name) == EXPECTED[name]
