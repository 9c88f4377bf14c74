"""Small videos of every container, which mutations start from."""

from collections.abc import Mapping

from tests.support.bombs import matroska, matroska_cues, matroska_tags, movie, movie_tags
from tests.support.clips import clip_bytes

_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def seed_videos() -> Mapping[str, bytes]:
    """Return the videos by name: a few frames each, of 1 to 40 KB."""
    frames = {"seconds_colours": ["red", "blue"], "numbered": True}
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
    }
