"""No garbage is collected while a command loads."""

import gc

import pytest

from app.cli.loading import without_collections


@pytest.mark.usefixtures("unfrozen")
@pytest.mark.parametrize("freeze", [True, False])
def test_what_is_loaded_is_exempt_from_later_collections_if_that_is_wanted(freeze: bool) -> None:
    with without_collections(freeze=freeze):
        assert not gc.isenabled()
        loaded = [[number] for number in range(1_000)]

    assert gc.isenabled()
    assert (gc.get_freeze_count() >= len(loaded)) == freeze
