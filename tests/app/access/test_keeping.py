"""A key keeps videos, and asks kept ones, within its scopes and label sets only."""

from collections.abc import Callable

from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.keys import bearer, issue_key
from tests.support.servers import open_client

CLIP = clip_bytes(seconds_colours=["red"])
VIDEO = {"Content-Type": "video/mp4"}


def test_keeping_a_video_needs_the_scope_archive_too(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings()
    tagging = {**VIDEO, **bearer(issue_key(settings, "classify"))}
    keeping = {**VIDEO, **bearer(issue_key(settings, "classify", "archive"))}
    options = {"keep": "true", "labels": "red"}
    with open_client(settings) as client:
        for address in ("/classify", "/jobs"):
            refused = client.post(address, content=CLIP, params=options, headers=tagging)
            allowed = client.post(address, content=CLIP, params=options, headers=keeping)

            assert refused.status_code == 403
            assert allowed.is_success
