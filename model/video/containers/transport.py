"""Count the streams, programs and tables at the beginning of an MPEG transport stream.

A packet (ISO/IEC 13818-1) begins with 0x47, and its next two bytes hold the number of its stream.
"""

import numpy as np
from numpy.typing import NDArray

from model.video.containers import limits
from model.video.containers.limits import refuse_over
from model.video.containers.source import Source, number

_SYNC, _SYNC_BYTE = 0x47, b"\x47"
# FFmpeg reads 5 MB before it decodes.
_PROBED_BYTES = 6 << 20
# Plain packets, those with a time code in front (AVCHD), those with an error correction behind.
_LAYOUTS = ((188, 0), (192, 4), (204, 0))
_NULL_STREAM = 0x1FFF
_TABLE_STREAMS = 0x20  # streams below hold tables
_PROGRAM_BYTES = 4


def check_transport_stream(source: Source) -> bool:
    """Return whether the file is a transport stream.

    Raises ExpensiveVideo if its packets describe more than an ordinary broadcast would.
    """
    for size, offset in _LAYOUTS:
        if not all(source.read(offset + n * size, 1) == _SYNC_BYTE for n in (0, 1)):
            continue
        data = np.frombuffer(source.read(0, _PROBED_BYTES), np.uint8)
        packets = data[: len(data) // size * size].reshape(-1, size)[:, offset : offset + 188]
        _check_packets(packets[packets[:, 0] == _SYNC])
        return True
    return False


def _check_packets(packets: NDArray[np.uint8]) -> None:
    starts = packets[(packets[:, 1] & 0x40) != 0]
    streams = (starts[:, 1] & 0x1F).astype(np.int32) << 8 | starts[:, 2]
    distinct = np.unique(streams)
    distinct = distinct[(distinct >= _TABLE_STREAMS) & (distinct != _NULL_STREAM)]
    refuse_over(limits.MAX_STREAMS, len(distinct), "streams")
    tables = _tables(starts)
    refuse_over(limits.MAX_STREAM_TABLES, len({table.tobytes() for table in tables}), "tables")
    associations = {table.tobytes() for table in _tables(starts[streams == 0])}
    programs = sum(_programs(table) for table in associations)
    refuse_over(limits.MAX_PROGRAMS, programs, "programs")


def _tables(starts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the payloads that begin with a table: no adaptation field, and not a frame."""
    plain = starts[(starts[:, 3] & 0x30) == 0x10][:, 4:]
    is_frame = (plain[:, 0] == 0) & (plain[:, 1] == 0) & (plain[:, 2] == 1)
    has_table = (plain[:, 0] == 0) & (plain[:, 1] <= 0x7F) & ~is_frame
    tables: NDArray[np.uint8] = plain[has_table]
    return tables


def _programs(table: bytes) -> int:
    """Return the number of programs in a program association table, behind its pointer."""
    length = number(table[2:4]) & 0xFFF
    return max(0, min(length, 1021) - 9) // _PROGRAM_BYTES
