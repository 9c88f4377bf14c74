"""The modules of all tests, exempt from garbage collection.

They are a million objects. Each of the many services that tests start would search them, for 0.5 s.
"""

import gc
from contextlib import ExitStack

from app.lifecycle.garbage import freezing

_frozen = ExitStack()


def freeze_modules() -> None:
    """Freeze what is loaded; services in this process freeze nothing from now on."""
    _frozen.enter_context(freezing())
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def unfreeze_modules() -> None:
    """Let services freeze objects, as in a process of their own."""
    _frozen.close()
