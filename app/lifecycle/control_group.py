"""How much memory the control group of this process, such as its container, may still use."""

from contextlib import suppress
from pathlib import Path

# cgroup-v2: Linux, Documentation/admin-guide/cgroup-v2.rst
_MOUNT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
# Pages of files: the kernel frees them before it ends a process.
_RECLAIMABLE = ("active_file", "inactive_file")


def memory_left(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> int | None:
    """Return the bytes that the process's group and those around it leave; None without a limit.

    Only version 2 of control groups is known.
    """
    with suppress(OSError, ValueError):
        [path] = [line[3:] for line in membership.read_text().split("\n") if line[:3] == "0::"]
        group = mount / path.strip("/")
        groups = [one for one in [group, *group.parents] if one.is_relative_to(mount)]
        left = [bytes_ for one in groups if (bytes_ := _left_in(one)) is not None]
        return min(left, default=None)
    return None


def _left_in(group: Path) -> int | None:
    """Return the bytes that one group leaves; None without a limit."""
    with suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text())  # "max" is no number
        used = int((group / "memory.current").read_text())
        lines = (group / "memory.stat").read_text().splitlines()
        counts = dict(line.split() for line in lines)
        return limit - used + sum(int(counts[name]) for name in _RECLAIMABLE)
    return None
