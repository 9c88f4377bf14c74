"""No garbage is collected while a command loads."""

import gc

from app.cli.loading import without_collections


def test_what_is_loaded_is_exempt_from_later_collections() -> None:
    before = gc.get_freeze_count()
    try:
        with without_collections():
            assert not gc.isenabled()
            loaded = [[number] for number in range(1_000)]

        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(loaded)
    finally:
        gc.unfreeze()
