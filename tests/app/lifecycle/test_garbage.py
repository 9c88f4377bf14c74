"""Blocks that freeze objects: only the outermost does, until its end."""

import gc
from typing import TYPE_CHECKING

import pytest

from app.lifecycle.garbage import freezing

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.mark.usefixtures("unfrozen")
def test_only_the_outermost_block_freezes_and_unfreezes() -> None:
    with freezing() as may_freeze:
        assert may_freeze
        gc.freeze()
        with freezing() as may_freeze_within:
            assert not may_freeze_within
        assert gc.get_freeze_count() > 0

    assert gc.get_freeze_count() == 0
    with freezing() as may_freeze:
        assert may_freeze


def test_an_application_within_such_a_block_freezes_nothing(client: "TestClient") -> None:
    before = gc.get_freeze_count()

    while client.get("/readyz").status_code != 200:
        continue

    # frozen objects to which nothing refers any more are freed
    assert 0 < gc.get_freeze_count() <= before
