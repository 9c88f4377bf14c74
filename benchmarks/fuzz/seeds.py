"""Small videos of every container, which mutations start from."""

import io
from collections.abc import Mapping

from PIL import Image

from tests.support.bombs import matroska, matroska_cues, matroska_tags, movie, movie_tags
from tests.support.clips import clip_bytes, picture

_PICTURES = ("GIF", "WEBP", "PNG", "AVIF")
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def seed_videos() -> Mapping[str, bytes]:
    """Return the videos by name: a few frames each, of 1 to 40 KB."""
    frames = {"seconds_colours": ["red", "blue"], "numbered": True}
    jpegs = frames | {"fps": 5, "codec": "mjpeg", "pixel_format": "yuvj420p"}
    return {
        "h264.mp4": clip_bytes(**frames, b_frames=2, audio=True),
        "fragments.mp4": clip_bytes(**frames, gop=4, container_options=_FRAGMENTED),
        "hevc.mp4": clip_bytes(**frames, codec="libx265"),
        "mpeg4.mov": clip_bytes(**frames, codec="mpeg4", container="mov", rotation=90),
        "jpeg.mov": movie(samples=30, edits=2, in_movie=[movie_tags(3)]),
        "h264.mkv": clip_bytes(**frames, container="matroska", audio=True),
        "jpeg.mkv": matroska(matroska_tags(3), matroska_cues(3)),
        "vp8.webm": clip_bytes(**frames, codec="libvpx", container="webm"),
        "h264.ts": clip_bytes(**frames, container="mpegts", audio=True),
        "mpeg2.mpg": clip_bytes(**frames, fps=25, codec="mpeg2video", container="mpeg"),
        "mpeg4.avi": clip_bytes(**frames, codec="mpeg4", container="avi"),
        "flv1.flv": clip_bytes(**frames, codec="flv", container="flv"),
        "wmv2.asf": clip_bytes(**frames, codec="wmv2", container="asf"),
        "hevc.ts": clip_bytes(**frames, codec="libx265", container="mpegts"),
        "hevc.hevc": clip_bytes(**frames, codec="libx265", container="hevc"),
        "h264.h264": clip_bytes(**frames, container="h264"),
        "vp9.webm": clip_bytes(**frames, codec="libvpx-vp9", container="webm"),
        "vp8.ivf": clip_bytes(**frames, codec="libvpx", container="ivf"),
        "av1.mp4": clip_bytes(**frames, codec="libsvtav1"),
        "vp8.ogg": clip_bytes(**frames, codec="libvpx", container="ogg"),
        "mpeg2.mxf": clip_bytes(**frames, fps=25, codec="mpeg2video", container="mxf"),
        "ffv1.mkv": clip_bytes(**frames, fps=2, codec="ffv1", container="matroska"),
        "jpeg.avi": clip_bytes(**jpegs, container="avi"),
        "prores.mov": clip_bytes(
            **frames, fps=2, codec="prores", container="mov", pixel_format="yuv422p10le"
        ),
        **{f"animation.{kind.lower()}": _animation(kind) for kind in _PICTURES},
    }


def _animation(kind: str) -> bytes:
    """Return an animated picture of six frames; `kind` is Pillow's name of the format."""
    first, *others = [Image.fromarray(picture("red", 64, 48, number)) for number in range(6)]
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    first.save(buffer, kind, save_all=True, append_images=others, duration=200, **options)
    return buffer.getvalue()
