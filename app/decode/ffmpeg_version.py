"""The version of FFmpeg that decodes, and the oldest one that has the known fixes."""

import re

import av

# CVE-2026-8461 and CVE-2026-40962 are in older ones. What is known of this one and newer ones is
# bounded before FFmpeg sees a file (docs/decisions/0032).
OLDEST = (8, 1, 2)


def ffmpeg_version() -> str:
    """Return the version that PyAV was built with, such as `8.1.2`."""
    return str(av.ffmpeg_version_info)


def outdated(version: str) -> str | None:
    """Say what is wrong with a version; None if it is new enough."""
    oldest = ".".join(map(str, OLDEST))
    found = re.fullmatch(r"n?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+ ].*)?", version)
    if found is None:
        return f"FFmpeg {version}: cannot be compared with {oldest}, the oldest with known fixes"
    if tuple(int(part or 0) for part in found.groups()) < OLDEST:
        return f"FFmpeg {version} lacks known fixes: install a PyAV with {oldest} or newer"
    return None
