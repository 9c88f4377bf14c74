"""Landlock with an empty ruleset: no file can be opened or made, no TCP port used.

landlock(7) and linux/landlock.h of the kernel. Unprivileged, Linux 5.13 or newer.
"""

import ctypes
import os
import struct

# The same numbers on every architecture; the C library has no functions for them.
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_CREATE_RULESET_VERSION = 1 << 0
# Rights that the kernel can refuse, from this version of Landlock's interface on. Rights on files:
# 13 to execute, write, read, remove and make; then to link, to truncate, and ioctl on devices.
_FILE_RIGHTS = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
# to bind and connect TCP sockets
_NETWORK_RIGHTS = ((4, 0b11),)
# abstract Unix sockets of, and signals to, processes outside
_SCOPES = ((6, 0b11),)
# struct landlock_ruleset_attr grew by one field of 8 bytes with these versions
_FIELDS = (1, 4, 6)


def refuse_files_and_network() -> int:
    """Restrict this thread, and those that it starts, for good; return the version of Landlock.

    The thread must have no_new_privs. Returns 0 where the kernel has no Landlock.
    """
    call = ctypes.CDLL(None, use_errno=True).syscall
    version = int(call(_long(_CREATE_RULESET), None, _long(0), _long(_CREATE_RULESET_VERSION)))
    if version < 1:
        return 0
    rights = [_up_to(version, kinds) for kinds in (_FILE_RIGHTS, _NETWORK_RIGHTS, _SCOPES)]
    fields = sum(version >= first for first in _FIELDS)
    ruleset = struct.pack(f"={fields}Q", *rights[:fields])
    fd = int(call(_long(_CREATE_RULESET), ruleset, _long(len(ruleset)), _long(0)))
    if fd < 0:
        return 0
    try:
        refused = call(_long(_RESTRICT_SELF), _long(fd), _long(0))
    finally:
        os.close(fd)
    return 0 if refused else version


def _up_to(version: int, kinds: tuple[tuple[int, int], ...]) -> int:
    return sum(rights for first, rights in kinds if version >= first)


_long = ctypes.c_long
