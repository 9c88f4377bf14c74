"""The GPU worker: decodes the frames of plain videos with torchcodec. `GpuDecodePool` runs it.

It loads torch and a GPU's driver, whose address space cannot be limited. It receives only files
that `app.decode.worker` has opened, measured and found plain. The pool kills it at a deadline.
Facts about a video come from the decode worker only, never from this process.
"""

import mmap
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from app.decode.frame_layout import times_and_frames
from app.decode.protocol import (
    Answer,
    Failure,
    FramesRendered,
    Ready,
    Render,
    StartRendering,
    cut_text,
    encode,
)
from app.decode.sandbox.confinement import confine_gpu_worker
from app.decode.worker_loop import SharedFile, read_arguments, receive_jobs
from model import CorruptVideo

# Names of 8 bits in 4:2:0: of decoders on a CPU, and on a GPU.
_PLAIN_FORMATS = {"yuv420p", "nv12"}
# From libswscale/yuv2rgb.c, in units of 1/65536: the RGB value of one step of luma, the offset of
# black, and by color space (False: BT.601, True: BT.709) the factors of V in red, U in blue, U in
# green and V in green.
_LUMA = (255 << 16) // 219
_BLACK = (400 << 16) - 326 * _LUMA
_CHROMA = {False: (104597, 132201, -25675, -53279), True: (117489, 138438, -13975, -34925)}


class _UnfitError(Exception):
    """torchcodec decoded other frames than requested, or frames that are not plain."""


def _render(request: Render, fds: list[int], device: str) -> None:
    """Write the frames to the memory file, and replace the requested times by the frames' own."""
    size = (request.height, request.width)
    times, frames = times_and_frames(mmap.mmap(fds[1], 0), (request.count, *size, 3))
    wanted, positions = np.unique(times, return_inverse=True)
    for position, frame in enumerate(_shown(fds[0], request.stream, wanted, device)):
        rows = positions == position
        frames[rows] = _picture(frame, size).cpu().numpy()
        times[rows] = frame.pts_seconds - request.start_seconds


def _shown(fd: int, stream: int, wanted: NDArray[np.float64], device: str) -> Iterator[Any]:
    """Yield the frame shown at each of the sorted times; seeks if a keyframe lies between two."""
    # loads its own FFmpeg, and is not installed everywhere
    from torchcodec.decoders import Demuxer

    demuxer = Demuxer(SharedFile(fd), streams=stream)
    index = demuxer.streams[0].scan()
    begins = index.pts_seconds.numpy()
    decoder = demuxer.streams[0].make_decoder(device)

    def decoded() -> Iterator[Any]:
        for packet in demuxer:
            yield from decoder.decode(packet)
        yield from decoder.drain()

    frame, frames = None, decoded()
    for begin in begins[np.maximum(np.searchsorted(begins, wanted, side="right") - 1, 0)]:
        key = index.key_frame_seconds_for(begin)
        if frame is None or key > frame.pts_seconds:
            demuxer.seek(key)
            decoder.reset()
            frame, frames = None, decoded()
        while frame is None or frame.pts_seconds < begin:
            frame = next(frames, None)
            if frame is None or frame.pts_seconds > begin:
                raise _UnfitError(f"the frame at {begin} s is missing")
            if frame.pixel_format not in _PLAIN_FORMATS or frame.color_range == "pc":
                raise _UnfitError(f"the frame at {frame.pts_seconds} s is not plain")
        yield frame


def _picture(frame: Any, size: tuple[int, int]) -> torch.Tensor:
    """Return a frame in 4:2:0 as RGB, uint8 (H, W, 3), on its device.

    The result is that of `model.video.frame_scaler`, to within rounding: each plane is scaled with
    a triangle filter, U and V to half of the width, and then converted.
    """
    height, width = size
    half = (height, (width + 1) // 2)
    y, u, v = (
        functional.interpolate(plane[None, None].float(), shape, mode="bilinear", antialias=True)
        .round_()
        .int()[0, 0]
        for plane, shape in zip(frame.planes, (size, half, half), strict=True)
    )
    to_red, to_blue, u_to_green, v_to_green = (
        int(((part << 16) + 0x8000) / _LUMA) for part in _CHROMA[frame.color_space == "bt709"]
    )
    shifts = (
        _shift(v, to_red),
        _shift(u, u_to_green) + _shift(v, v_to_green),
        _shift(u, to_blue),
    )
    rows = [y + shift.repeat_interleave(2, dim=1)[:, :width] for shift in shifts]
    colours = (torch.stack(rows, dim=2) * _LUMA - _BLACK + 0x8000) >> 16
    return colours.clamp_(0, 255).to(torch.uint8)


def _shift(chroma: torch.Tensor, part: int) -> torch.Tensor:
    """Return what a chroma value, 0 to 255, adds to a color in steps of luma; 0 for 128."""
    return (chroma * part >> 16) - (part >> 9)


def _make_ready(device: str) -> None:
    """Load what is otherwise loaded at the first use, then limit this process."""
    import torchcodec

    if torchcodec.ffmpeg_major_version is None:
        raise ImportError("torchcodec finds no FFmpeg")
    torch.zeros(1, device=device)
    torch.set_num_threads(1)
    confine_gpu_worker()


def _answer(request: Render, fds: list[int], device: str) -> Answer:
    try:
        _render(request, fds, device)
    except Exception as error:  # noqa: BLE001  # the caller uses another decoder
        text = cut_text(f"{type(error).__name__}: {error}")
        # after an error of CUDA, the process can no longer use CUDA
        return Failure(CorruptVideo.code, text, worn_out="CUDA error" in text)
    return FramesRendered()


def _serve(connection: socket.socket, start: StartRendering) -> None:
    try:
        _make_ready(start.device)
    except Exception as error:  # noqa: BLE001  # videos are decoded without this process
        print(f"no decoding on the GPU: {error}", file=sys.stderr)  # noqa: T201  # for the log
        sys.exit(os.EX_UNAVAILABLE)
    connection.send(encode(Ready()))
    for request, fds in receive_jobs(connection, start.cpu_seconds, (Render,)):
        connection.send(encode(_answer(request, fds, start.device)))


def _main() -> None:
    start, (connection_fd,) = read_arguments(StartRendering)
    with socket.socket(fileno=connection_fd) as connection:
        _serve(connection, start)


if __name__ == "__main__":
    _main()
