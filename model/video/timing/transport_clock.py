"""Correct the timestamps of a transport stream whose clock jumps, falls back or wraps around.

Joined recordings, captures of HLS with advertisements, and broadcasts have such clocks. A player
shows their frames one after the other all the same; in the corrected file the clock says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from model.video.file_view import FileView
from model.video.timing.patched_file import PatchedFile
from model.video.timing.transport_scan import Flags, FrameTimes, Ints, find_layout, scan_streams

_SECOND = 90_000
_WRAP = 1 << 33
# FFmpeg's player closes gaps over 10 s in a transport stream.
_MAX_GAP = 10 * _SECOND
# A clean cut, where one recording ends and another one begins: its times mean nothing.
_MAX_GAP_AT_CUT = _SECOND
# Frames without a decoding time are up to this far out of order.
_MAX_REORDERING = _SECOND
# Of 25 frames/s, for a stream without two frames in order.
_DEFAULT_STEP = 3_600
_HEAD_BYTES = 4096
_SEQUEL = (
    "the file goes on with another recording under another packet id, which is not shown: send the "
    "recordings one by one, or join them with ffmpeg -f concat"
)


@dataclass(frozen=True, slots=True)
class OneClock:
    """A file in which each video stream has one continuous clock.

    `warnings` are sentences about each video stream, by its packet id.
    """

    file: BinaryIO
    warnings: Mapping[int, tuple[str, ...]]


def with_one_clock(file: BinaryIO) -> OneClock:
    """Return a transport stream with its clock corrected, and any other file as it is."""
    view = FileView(file)
    layout = find_layout(view.read(_HEAD_BYTES))
    if layout is None:
        return OneClock(file, {})
    fields: list[tuple[Ints, NDArray[np.uint8]]] = []
    warnings = {}
    streams = scan_streams(view, layout)
    starts = [int(frames.pts_at[0]) for frames in streams.values() if frames.dts.size]
    for pid, frames in streams.items():
        if frames.dts.size:
            has_sequel = any(start > frames.pts_at[-1] for start in starts)
            warnings[pid] = (*_correct(frames, fields), *([_SEQUEL] if has_sequel else []))
    if not fields:
        return OneClock(file, warnings)
    at, values = (np.concatenate(part) for part in zip(*fields, strict=True))
    return OneClock(cast("BinaryIO", PatchedFile(file, at, values)), warnings)


def _correct(frames: FrameTimes, fields: list[tuple[Ints, NDArray[np.uint8]]]) -> tuple[str, ...]:
    """Add the corrected fields of a stream to `fields`; return its warnings."""
    step = _signed(np.diff(frames.dts))
    ordinary = step[(step > 0) & (step <= _SECOND)]
    nominal = int(np.median(ordinary)) if ordinary.size else _DEFAULT_STEP
    is_jump = _jumps(frames, step)
    since_first = np.concatenate([[0], np.cumsum(np.where(is_jump, nominal, step))])
    start = int(frames.dts[0])
    if start + since_first.max() + _MAX_REORDERING >= _WRAP:
        start = _MAX_GAP
    dts = start + since_first
    pts = dts + _leads(frames, step, is_jump, nominal)
    if not np.array_equal(dts, frames.dts):
        has_dts = frames.dts_at >= 0
        fields.append((frames.pts_at, _field(pts, np.where(has_dts, 0x31, 0x21))))
        at = frames.dts_at[has_dts]
        fields.append((at, _field(dts[has_dts], np.full(at.size, 0x11))))
    is_late = frames.is_cut[1:] & (2 * step > 3 * nominal) & ~is_jump
    places = np.count_nonzero(frames.is_holed) + np.count_nonzero(is_late & ~frames.is_holed[1:])
    return (*_jump_warnings(step, is_jump, since_first), *_damage_warnings(int(places)))


def _jumps(frames: FrameTimes, step: Ints) -> Flags:
    """Tell for each frame but the first whether its time says nothing about its place."""
    is_timed = (frames.dts_at >= 0)[1:] & (frames.dts_at >= 0)[:-1]
    is_clean_cut = frames.is_cut[1:] & ~frames.is_holed[1:]
    jumps: Flags = (
        (step < np.where(is_timed, 0, -_MAX_REORDERING))
        | (step > _MAX_GAP)
        | (is_clean_cut & (step > _MAX_GAP_AT_CUT))
    )
    return jumps


def _leads(frames: FrameTimes, step: Ints, is_jump: Flags, nominal: int) -> Ints:
    """Return how long after its decoding each frame is displayed, without the jumps in between.

    A pause of the encoder lies between frames that are displayed one after the other: some that
    are displayed after it are decoded before it. Those of another recording are not.
    """
    lead = _signed(frames.pts - frames.dts)
    pauses = np.flatnonzero(is_jump & (step > 0) & ~frames.is_cut[1:])
    if not pauses.size:
        return lead
    passed = np.concatenate([[0], np.cumsum(step)])
    following = np.searchsorted(pauses, np.arange(lead.size))
    pause = pauses[np.minimum(following, pauses.size - 1)]
    is_across = (following < pauses.size) & (lead >= passed[pause + 1] - passed)
    return np.where(is_across, lead - step[pause] + nominal, lead)


def _signed(ticks: Ints) -> Ints:
    """Return differences of 33-bit times as numbers from -2^32 to 2^32."""
    return (ticks + _WRAP // 2) % _WRAP - _WRAP // 2


def _field(ticks: Ints, first_bits: Ints) -> NDArray[np.uint8]:
    """Write times as PES headers do: (N, 5), with a marker bit after 3, 15 and 15 bits."""
    parts = (
        first_bits | (ticks >> 30 & 7) << 1,
        ticks >> 22 & 0xFF,
        (ticks >> 15 & 0x7F) << 1 | 1,
        ticks >> 7 & 0xFF,
        (ticks & 0x7F) << 1 | 1,
    )
    return np.stack(parts, 1).astype(np.uint8)


def _jump_warnings(step: Ints, is_jump: Flags, since_first: Ints) -> tuple[str, ...]:
    jumps = np.flatnonzero(is_jump)
    if not jumps.size:
        return ()
    first = int(jumps[0])
    by, after = step[first] / _SECOND, since_first[first] / _SECOND
    others = f", and {jumps.size - 1} more times" if jumps.size > 1 else ""
    return (
        f"the clock jumps by {by:+.1f} s after {after:.1f} s{others}: "
        "the parts are shown one after the other",
    )


def _damage_warnings(places: int) -> tuple[str, ...]:
    if not places:
        return ()
    return (f"data is missing in {places} place(s): frames there are missing or show errors",)
