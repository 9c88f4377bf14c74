"""The version of FFmpeg is compared with the oldest one that has the known fixes."""

import av
import pytest

from app.decode.ffmpeg_version import ffmpeg_version, outdated


@pytest.mark.parametrize("version", ["8.1.2", "n8.1.3", "8.2", "9.0.2-ubuntu1", "10.0"])
def test_a_version_with_the_fixes_is_accepted(version: str) -> None:
    assert outdated(version) is None


@pytest.mark.parametrize("version", ["8.1.1", "8.1", "7.1.4", "n8.0.9-3", "6.0"])
def test_an_older_version_is_reported(version: str) -> None:
    assert "lacks known fixes" in (outdated(version) or "")


@pytest.mark.parametrize("version", ["N-12345-gabcdef", "", "eight"])
def test_a_version_without_numbers_is_reported(version: str) -> None:
    assert "cannot be compared" in (outdated(version) or "")


def test_the_installed_version_is_new_enough() -> None:
    assert ffmpeg_version() == av.ffmpeg_version_info
    assert outdated(ffmpeg_version()) is None
