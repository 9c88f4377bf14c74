"""Load modules and models without garbage collections, which scan all of it again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections(*, freeze: bool) -> Iterator[None]:
    """Run no garbage collection in the block; `freeze` exempts what it loads from later ones.

    In a command that ends soon they would take a tenth of the processor time. `gc.unfreeze` ends
    the exemption.
    """
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        gc.enable()
