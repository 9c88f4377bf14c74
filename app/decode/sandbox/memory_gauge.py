"""How much memory this process uses, told also after no file can be opened any more."""

import mmap
import os


class MemoryGauge:
    """Reads /proc/self/statm, which it opens when it is made; the process must not fork later."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def resident_bytes(self) -> int:
        """Return the bytes of this process's memory that are in RAM."""
        return self._pages(1) * mmap.PAGESIZE

    def data_bytes(self) -> int:
        """Return the size of this process's writable private memory, which RLIMIT_DATA limits."""
        return self._pages(5) * mmap.PAGESIZE

    def _pages(self, field: int) -> int:
        return int(os.pread(self._statm, 128, 0).split()[field])
