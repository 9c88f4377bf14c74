"""Open an untrusted file and choose its video stream, or raise the VideoError that says why not.

FFmpeg gets a file object and nothing else: no path, no URL, no other file. Only the container
formats and codecs of this file are allowed. Every error that FFmpeg raises becomes a VideoError.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from model.errors import (
    CorruptVideo,
    EncryptedVideo,
    NotAVideo,
    PictureTooLarge,
    StillPicture,
    UnsupportedCodec,
    VideoError,
)
from model.video.cost import too_expensive
from model.video.file_view import FileView, file_size
from model.video.recognition.file_types import (
    has_encrypted_track,
    is_container,
    is_image,
    may_move,
)
from model.video.recognition.other_files import describe
from model.video.recognition.truncation import cut_fragment, describe_missing_index
from model.video.stream_choice import best_stream, moving_streams, video_streams
from model.video.values import VideoLimits

# FFmpeg's names of streams without a container.
RAW_FORMATS = {"h264", "hevc"}
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf,ivf,h264,hevc,gif,apng"
)
# FFmpeg's names of the containers that store each frame's time. In the others (MPEG-PS, Ogg) times
# are counted from a mark and differ after a seek.
SEEKABLE = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "flv", "asf"}
# Those whose packets tell when a keyframe is displayed; raw streams are numbered by us.
HAS_KEYFRAME_TIMES = SEEKABLE | RAW_FORMATS | {"ivf", "mxf"}
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
    "gif": "gif",
    "apng": "apng",
}
# What PyAV raises for damaged files besides its own errors: MemoryError for absurd table sizes,
# UnicodeDecodeError (a ValueError) for metadata that is no text, OverflowError for large numbers.
FOREIGN_ERRORS = (av.error.FFmpegError, MemoryError, ValueError, OverflowError)
# Smaller frames are decoded before a second thread has started.
MIN_THREADED_PIXELS = 1280 * 720

ALLOWED_FORMATS = (
    "MP4, QuickTime, 3GP, Matroska, WebM, AVI, MPEG-TS, MPEG-PS, FLV, Ogg, ASF/WMV, MXF, IVF, raw "
    "H.264 and H.265, and animated GIF, WebP, APNG, AVIF and HEIC"
)
STILL_PICTURE = (
    "the file is a picture of one frame; videos and animated pictures (GIF, WebP, APNG, AVIF, "
    "HEIC) are tagged. To tag a picture, make a video of it: ffmpeg -loop 1 -i picture.jpg -t 1 "
    "video.mp4"
)
# For titles and comments, which nothing here reads, that are no UTF-8; PyAV 19 always takes them.
TEXT_OPTIONS: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
_JPEG = b"\xff\xd8\xff"
# The first picture of a camera that sends JPEG after JPEG is no longer.
_FIRST_JPEG_BYTES = 4 * 1024 * 1024
# Each thread holds frames of its own: eight threads for 4K, two for 8K.
_MAX_PIXELS_OF_THREADS = 71_000_000


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
    if is_image(head) and not may_move(file, head):
        raise _picture(file, head)
    try:
        container = _open_container(file)
    except FOREIGN_ERRORS as error:
        raise_if_out_of_memory(error)
        raise _not_readable(file, head) from error
    with container:
        try:
            stream = _choose_stream(file, container, limits)
        except UnsupportedCodec:
            # Some encryption hides even the name of the codec.
            if has_encrypted_track(file):
                raise EncryptedVideo("the video is encrypted; upload it decrypted") from None
            raise
        context = stream.codec_context
        # One thread costs the least CPU time per video; other processes decode other videos.
        pixels = context.width * context.height
        is_threaded = threads > 1 and pixels >= min_threaded_pixels
        most = max(1, _MAX_PIXELS_OF_THREADS // max(1, pixels))
        context.thread_count = min(threads, most) if is_threaded else 1
        context.thread_type = "FRAME" if is_threaded else "NONE"
        context.options = {"max_pixels": str(limits.max_pixels)}
        yield container, stream


def _open_container(file: BinaryIO) -> InputContainer:
    try:
        return _open_view(FileView(file))
    except (av.error.InvalidDataError, av.error.EOFError):
        # FFmpeg 9 refuses a whole file whose last index is cut short; older ones read up to there.
        end = cut_fragment(FileView(file), file_size(file))
        if end is None:
            raise
    return _open_view(FileView(file, end))


def _open_view(view: FileView) -> InputContainer:
    container: InputContainer = av.open(
        view,
        "r",
        container_options={
            "protocol_whitelist": "",
            "format_whitelist": FORMATS,
            # FFmpeg decodes the first frames while it probes: only with these decoders.
            "codec_whitelist": ",".join(CODECS.values()),
        },
        **TEXT_OPTIONS,
    )
    return container


def _picture(file: BinaryIO, head: bytes) -> VideoError:
    if head.startswith(_JPEG):
        view = FileView(file)
        view.seek(0)
        head = view.read(_FIRST_JPEG_BYTES)
    other = describe(head)
    return StillPicture(STILL_PICTURE) if other is None else _not_a_video(other)


def _not_readable(file: BinaryIO, head: bytes) -> VideoError:
    """Say why FFmpeg cannot open a file, as far as its bytes tell."""
    if is_image(head):
        return StillPicture(STILL_PICTURE)
    if is_container(head):
        missing = describe_missing_index(FileView(file), file_size(file))
        return CorruptVideo(missing or "the container is damaged and cannot be read")
    return _not_a_video(describe(head))


def _not_a_video(kind: str | None) -> NotAVideo:
    return NotAVideo(
        f"{f'this is {kind}' if kind else 'the bytes are in no allowed video format'}. "
        f"Allowed are {ALLOWED_FORMATS}"
    )


def raise_if_out_of_memory(error: BaseException) -> None:
    """Raise ExpensiveVideo if an error of PyAV says that FFmpeg could not get memory."""
    if isinstance(error, MemoryError):
        raise too_expensive("memory") from error


def codec_name(stream: VideoStream) -> str | None:
    """Return FFmpeg's name of the stream's codec, None where FFmpeg has no decoder for it."""
    # An unknown codec has no context at all, in contrast to PyAV's annotations.
    context = getattr(stream, "codec_context", None)
    return context.codec.canonical_name if context is not None else None


def _choose_stream(file: BinaryIO, container: InputContainer, limits: VideoLimits) -> VideoStream:
    streams = video_streams(container)
    stream = streams[0]
    if len(streams) > 1:
        # another container, because this one must stay at its start
        with _open_container(file) as other, suppress(*FOREIGN_ERRORS):
            moving = moving_streams(other, video_streams(other))
            stream = best_stream(streams, moving, [*map(codec_name, streams)], set(CODECS))
    name = codec_name(stream)
    if name not in CODECS:
        raise UnsupportedCodec(
            f"the codec {name or 'of this video'} is not allowed; re-encode the video, for example "
            f"as H.264. Allowed are {', '.join(CODECS)}"
        )
    check_size(stream.codec_context.width, stream.codec_context.height, limits)
    return stream


def check_size(width: int, height: int, limits: VideoLimits) -> None:
    """Raise PictureTooLarge for a frame of more pixels than the limit."""
    if width * height > limits.max_pixels:
        raise PictureTooLarge(
            f"frames of {width}x{height} have more pixels than the limit of {limits.max_pixels}; "
            "scale the video down or raise the limit"
        )
