"""Open an untrusted file and choose its video stream, or raise the VideoError that says why not.

FFmpeg gets a file object and nothing else: no path, no URL, no other file. Only the container
formats and codecs of this file are allowed. Every error that FFmpeg raises becomes a VideoError.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from model.errors import (
    CorruptVideo,
    EncryptedVideo,
    NotAVideo,
    NoVideoStream,
    PictureTooLarge,
    StillPicture,
    UnsupportedCodec,
)
from model.video.cost import too_expensive
from model.video.file_types import has_encrypted_track, is_container, is_image
from model.video.file_view import FileView
from model.video.values import VideoLimits

# FFmpeg's names of streams without a container.
RAW_FORMATS = {"h264", "hevc"}
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf,ivf,h264,hevc"
# FFmpeg's names of the containers that store each frame's time. In the others (MPEG-PS, Ogg) times
# are counted from a mark and differ after a seek.
SEEKABLE = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "flv", "asf"}
# FFmpeg's name of the codec -> of its decoder. Memory bugs are found in rare and old decoders, so
# these are only the codecs that cameras, phones, screen recorders and old archives use.
CODECS = {
    "h264": "h264",
    "hevc": "hevc",
    "vp8": "vp8",
    "vp9": "vp9",
    "av1": "libdav1d",
    "mpeg1video": "mpeg1video",
    "mpeg2video": "mpeg2video",
    "mpeg4": "mpeg4",
    "msmpeg4v2": "msmpeg4v2",
    "msmpeg4v3": "msmpeg4",
    "wmv1": "wmv1",
    "wmv2": "wmv2",
    "wmv3": "wmv3",
    "vc1": "vc1",
    "h263": "h263",
    "flv1": "flv",
    "theora": "theora",
    "mjpeg": "mjpeg",
    "prores": "prores",
    "dvvideo": "dvvideo",
    "dnxhd": "dnxhd",
    "cfhd": "cfhd",
    "ffv1": "ffv1",
}
# What PyAV raises for damaged files besides its own errors: MemoryError for absurd table sizes,
# UnicodeDecodeError (a ValueError) for metadata that is no text, OverflowError for large numbers.
FOREIGN_ERRORS = (av.error.FFmpegError, MemoryError, ValueError, OverflowError)
# Smaller frames are decoded before a second thread has started.
MIN_THREADED_PIXELS = 1280 * 720

_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


@contextmanager
def open_stream(
    file: BinaryIO,
    limits: VideoLimits,
    *,
    threads: int = 1,
    min_threaded_pixels: int = MIN_THREADED_PIXELS,
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the container and choose its video stream, ready to decode.

    Frames of at least `min_threaded_pixels` pixels are decoded by `threads` threads, smaller ones
    by one. Raises NotAVideo, StillPicture, CorruptVideo, NoVideoStream, UnsupportedCodec,
    EncryptedVideo or PictureTooLarge; errors of the caller's file object pass unchanged.
    """
    head = FileView(file).read(512)
    if not head:
        raise NotAVideo("the file is empty")
    if is_image(head):
        raise StillPicture("the file is an image, still or animated, not a video")
    try:
        container = av.open(
            FileView(file),
            "r",
            container_options={
                "protocol_whitelist": "",
                "format_whitelist": FORMATS,
                # FFmpeg decodes the first frames while it probes: only with these decoders.
                "codec_whitelist": ",".join(CODECS.values()),
            },
            metadata_errors="replace",
        )
    except FOREIGN_ERRORS as error:
        raise_if_out_of_memory(error)
        if is_container(head):
            raise CorruptVideo("the container is damaged and cannot be read") from error
        raise NotAVideo(
            "the bytes are in no allowed video format; allowed are MP4, QuickTime, 3GP, Matroska, "
            "WebM, AVI, MPEG-TS, MPEG-PS, FLV, Ogg and ASF"
        ) from error
    with container:
        try:
            stream = _choose_stream(container, limits)
        except UnsupportedCodec:
            # Some encryption hides even the name of the codec.
            if has_encrypted_track(file):
                raise EncryptedVideo("the video is encrypted; upload it decrypted") from None
            raise
        context = stream.codec_context
        # One thread costs the least CPU time per video; other processes decode other videos.
        is_threaded = threads > 1 and context.width * context.height >= min_threaded_pixels
        context.thread_count = threads if is_threaded else 1
        context.thread_type = "FRAME" if is_threaded else "NONE"
        context.options = {"max_pixels": str(limits.max_pixels)}
        yield container, stream


def raise_if_out_of_memory(error: BaseException) -> None:
    """Raise ExpensiveVideo if an error of PyAV says that FFmpeg could not get memory."""
    if isinstance(error, MemoryError):
        raise too_expensive("memory") from error


def codec_name(stream: VideoStream) -> str | None:
    """Return FFmpeg's name of the stream's codec, None where FFmpeg has no decoder for it."""
    # An unknown codec has no context at all, in contrast to PyAV's annotations.
    context = getattr(stream, "codec_context", None)
    return context.codec.canonical_name if context is not None else None


def _choose_stream(container: InputContainer, limits: VideoLimits) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & _NOT_THE_VIDEO]
    if not streams:
        raise NoVideoStream("the file contains no video stream")
    allowed = [stream for stream in streams if codec_name(stream) in CODECS]
    if not allowed:
        raise UnsupportedCodec(
            f"the codec {codec_name(streams[0]) or 'of this video'} is not allowed; re-encode the "
            f"video with one of {', '.join(CODECS)}"
        )
    stream = next((s for s in allowed if s.disposition & Disposition.default), allowed[0])
    check_size(stream.codec_context.width, stream.codec_context.height, limits)
    return stream


def check_size(width: int, height: int, limits: VideoLimits) -> None:
    """Raise PictureTooLarge for a frame of more pixels than the limit."""
    if width * height > limits.max_pixels:
        raise PictureTooLarge(
            f"frames of {width}x{height} have more pixels than the limit of {limits.max_pixels}; "
            "scale the video down"
        )
