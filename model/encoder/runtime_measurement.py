"""Measure the speed and the accuracy of runtimes on this computer.

The reference is torch eager in float32. A runtime whose embeddings disagree with it is not used.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.encoder.encoder import ClipShape, Encoder, Runtime, RuntimeName, ShapedEncoder
from model.encoder.runtime import make_encoder
from model.encoder.sentence_tower import SentenceTower
from model.encoder.torch_encoder import TorchEncoder

# Minimum cosine to the float32 reference's embeddings (docs/performance.md).
PARITY = 0.999
_STRENGTHS = (0.1, 0.1, 0.25, 0.5)
_TIMED_RUNS = 7


@dataclass(frozen=True, slots=True)
class Measured:
    """Speed and accuracy of one runtime on this computer.

    `milliseconds` is processor time per video, `cosine` the minimum cosine between its embeddings
    and the float32 reference's. `fault` is the error of a runtime that failed, else empty; the
    figures are 0 then.
    """

    runtime: Runtime
    milliseconds: float = 0.0
    cosine: float = 0.0
    fault: str = ""

    @property
    def is_right(self) -> bool:
        """Whether it ran, and its embeddings agree with the reference (`PARITY`)."""
        return not self.fault and self.cosine >= PARITY


def supports_bfloat16() -> bool:
    """Whether this CPU has bfloat16 instructions; without them bfloat16 is slow."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def measure_runtimes(
    reference: TorchEncoder,
    names: Sequence[RuntimeName],
    clips: ClipShape,
    make: Callable[[Runtime, TorchEncoder], ShapedEncoder] = make_encoder,
) -> Iterator[Measured]:
    """Measure runtimes on videos of this shape; yields the float32 reference's figures first.

    A runtime is measured in float32 only where bfloat16 is not supported, failed, or disagreed
    with the reference: float32 does the same work in more time.
    """
    probes = _probes_of(reference, clips)
    expected = np.concatenate([reference.encode(video[None]) for video in probes])
    yield _measured(reference, probes, expected)
    for name in names:
        precisions = (["bfloat16"] if supports_bfloat16() else []) + ["float32"]
        for precision in precisions:
            runtime = Runtime(name, precision)
            if runtime == reference.runtime:
                break
            try:
                encoder = make(runtime, reference)
                encoder.prepare(clips)
                figures = _measured(encoder, probes, expected)
            except Exception as error:  # noqa: BLE001  # the other runtimes go on
                figures = Measured(runtime, fault=f"{type(error).__name__}: {error}"[:300])
            yield figures
            if figures.is_right:
                break


def fastest_on_gpu(reference: TorchEncoder, clips: ClipShape) -> TorchEncoder:
    """Return the fastest encoder on the GPU: the reference, or its network in 16 bits.

    bfloat16 and float16 are considered only where the embeddings agree with the reference's
    (`PARITY`).
    """
    # On the GPU, as served pixels are: copying them would take longer than encoding them.
    probes = _probes_of(reference, clips).to("cuda")
    expected = reference.encode(probes)
    best, best_seconds = reference, _wall_seconds(reference, probes)
    for dtype in (torch.bfloat16, torch.float16):
        encoder = TorchEncoder(reference.network, reference.dim, device="cuda", dtype=dtype)
        if min_cosine(encoder.encode(probes), expected) < PARITY:
            continue
        seconds = _wall_seconds(encoder, probes)
        if seconds < best_seconds:
            best, best_seconds = encoder, seconds
    return best


def min_cosine(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    """Return the minimum cosine between the unit rows of (B, dim); -1 for rows that are not finite.

    Some models overflow in float16, and a comparison with their cosine would be false either way.
    """
    cosines = (found * expected).sum(axis=1)
    return float(np.where(np.isfinite(cosines), cosines, -1.0).min())


def _wall_seconds(encoder: Encoder, pixels: Tensor) -> float:
    times = []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        encoder.encode(pixels)
        times.append(time.perf_counter() - started)
    return min(times)


def fastest(measured: Sequence[Measured]) -> Measured:
    """Return the fastest runtime that is accurate (`is_right`). Raises ValueError where none is."""
    right = [each for each in measured if each.is_right]
    if not right:
        raise ValueError(
            f"no runtime agrees with the reference to a cosine of {PARITY}: {measured}"
        )
    return min(right, key=lambda each: each.milliseconds)


def probe_pixels(clips: ClipShape) -> Tensor:
    """Make four test videos: moving texture in front of flat surfaces; the same in every call.

    Returns (4, N, T, 3, H, W) float32, channels last. The texture has the spectrum of natural
    images, amplitude 1/f (Field, 1987), in four strengths. Low precision was seen to fail on flat
    surfaces and faint texture.
    """
    n, t, c, h, w = clips
    generator = torch.Generator().manual_seed(0)
    frequency = torch.hypot(torch.fft.fftfreq(h)[:, None], torch.fft.fftfreq(w)[None])
    falling = 1.0 / frequency.clamp(min=1.0 / max(h, w))
    noise = torch.randn(len(_STRENGTHS), c + 1, h, w, generator=generator)
    texture = torch.fft.ifft2(torch.fft.fft2(noise) * falling).real
    texture = texture / texture.std(dim=(1, 2, 3), keepdim=True)
    shape = texture[:, c:]  # the last channel: texture where it is over 0.5, surface elsewhere
    surface = torch.randn(len(_STRENGTHS), c, 1, 1, generator=generator) * 0.3
    strengths = torch.tensor(_STRENGTHS).view(-1, 1, 1, 1)
    pictures = torch.where(shape > 0.5, strengths * (0.4 * texture[:, :c] + 0.9 * shape), surface)
    frames = [pictures.roll(2 * step, dims=3).permute(0, 2, 3, 1) for step in range(n * t)]
    videos = torch.stack(frames, dim=1).clamp(-1.0, 1.0).reshape(-1, n, t, h, w, c)
    return videos.permute(0, 1, 2, 5, 3, 4)


def _probes_of(reference: TorchEncoder, clips: ClipShape) -> Tensor:
    """Make the test videos on the scale of the network's pixels."""
    probes = probe_pixels(clips)
    if isinstance(getattr(reference.network, "backbone", None), SentenceTower):
        return ((probes + 1.0) * 127.5).round()
    return probes


def _measured(encoder: Encoder, probes: Tensor, expected: npt.NDArray[np.float32]) -> Measured:
    found = np.concatenate([encoder.encode(video[None]) for video in probes])
    seconds = min(_seconds(encoder, probes[:1]) for _ in range(_TIMED_RUNS))
    return Measured(
        encoder.runtime, round(1000 * seconds, 2), round(min_cosine(found, expected), 7)
    )


def _seconds(encoder: Encoder, pixels: Tensor) -> float:
    # Processor time, because it decides the throughput, and other processes may use the cores.
    started = time.process_time()
    encoder.encode(pixels)
    return time.process_time() - started
