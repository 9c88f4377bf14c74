"""Closing a listening socket without losing a connection."""

import ctypes
import socket
import struct
from contextlib import suppress

# asm/socket.h and linux/filter.h; Python has no constant for the option
_SO_ATTACH_FILTER = 26
_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_TCP_FLAGS_OFFSET, _SYN = 13, 0x02
_WHOLE_PACKET = 0xFFFFFFFF


def refuse_new_connections(listener: socket.socket) -> None:
    """Make the kernel drop new connections, while those it has accepted can still be fetched.

    Closing a listening socket resets connections that wait to be accepted, although their clients
    may have sent a request. A dropped client tries again a second later, when the port is closed.
    Where the kernel has no socket filters, nothing changes.
    """
    steps = [
        (_LOAD_BYTE, 0, 0, _TCP_FLAGS_OFFSET),
        (_JUMP_IF_SET, 0, 1, _SYN),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, _WHOLE_PACKET),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    with suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_FILTER,
            struct.pack("HP", len(steps), ctypes.addressof(program)),
        )
