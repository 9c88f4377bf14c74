"""How the encoder runs: which runtimes there are, which is right and fastest here, and the switch.

A service answers with plain torch from the first moment and changes to a faster runtime when that
is ready. A runtime whose embeddings leave the reference (torch eager, fp32) is refused.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.encoder.compiled_encoder import CompiledEncoder, can_compile
from model.encoder.networks import ClipShape, Encoder, Runtime, RuntimeName, TorchEncoder

PARITY = 0.999  # least cosine to the fp32 reference; the serving issue's figure
_STRENGTHS = (0.1, 0.1, 0.25, 0.5)
_TIMED_RUNS = 7
_MOST_SHAPES = 16


class ShapedEncoder(Encoder, Protocol):
    """An encoder that may need time before it can take a new shape of clip."""

    def is_prepared(self, clips: ClipShape) -> bool:
        """Whether videos of this shape can be encoded at once."""
        ...

    def prepare(self, clips: ClipShape) -> None:
        """Take the time."""
        ...


class RuntimeEncoder:
    """Plain torch that a faster runtime takes over from, while others are encoding.

    A shape that the fast one has not prepared is encoded by torch until a thread has done so.
    """

    def __init__(self, reference: TorchEncoder) -> None:
        self.reference = reference
        self._fast: ShapedEncoder = reference
        self._preparing: set[ClipShape] = set()
        self._lock = threading.Lock()

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.reference.dim

    @property
    def runtime(self) -> Runtime:
        """What encodes videos of a prepared shape."""
        return self._fast.runtime

    def switch_to(self, fast: ShapedEncoder) -> None:
        """Encode with this one from the next video on."""
        with self._lock:
            self._fast = fast
            self._preparing.clear()

    def encode(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Embed (B, N, T, 3, H, W) float32 pixels as (B, dim) unit float32."""
        n, t, c, h, w = pixels.shape[1:]
        fast = self._fast
        if fast.is_prepared((n, t, c, h, w)):
            return fast.encode(pixels)
        self._prepare_beside(fast, (n, t, c, h, w))
        return self.reference.encode(pixels)

    def _prepare_beside(self, fast: ShapedEncoder, clips: ClipShape) -> None:
        with self._lock:
            if clips in self._preparing or len(self._preparing) >= _MOST_SHAPES:
                return
            self._preparing.add(clips)
        # a daemon: a compilation that nobody waits for must not hold up the end of the process
        threading.Thread(target=fast.prepare, args=(clips,), daemon=True).start()


@dataclass(frozen=True, slots=True)
class Measured:
    """One runtime on this computer: processor milliseconds per video, least cosine to fp32.

    `fault` says why it could not be run; time and cosine mean nothing then.
    """

    runtime: Runtime
    milliseconds: float = 0.0
    cosine: float = 0.0
    fault: str = ""

    @property
    def is_right(self) -> bool:
        """Whether it may be used."""
        return not self.fault and self.cosine >= PARITY


def supports_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 by itself; elsewhere it is emulated, slowly."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def installed_runtimes() -> list[RuntimeName]:
    """Runtimes for the CPU that can run here, those that are cheap to try first."""
    names: list[RuntimeName] = ["eager"]
    if find_spec("openvino") is not None:
        names.append("openvino")
    if can_compile():
        names.append("compile")
    return names


def make_encoder(
    runtime: Runtime,
    reference: TorchEncoder,
    *,
    threads: int = 1,
    cache: Path | None = None,
    revision: str = "",
) -> ShapedEncoder:
    """The reference's network in another runtime on the CPU.

    Raises ImportError when the runtime is not installed.
    """
    dtype: torch.dtype = getattr(torch, runtime.precision)
    network, dim = reference.network, reference.dim
    if runtime.name == "openvino":
        # an extra of the installation, and 100 ms of import
        from model.encoder.openvino_encoder import OpenVinoEncoder

        return OpenVinoEncoder(
            network, dim, dtype=dtype, threads=threads, cache=cache, revision=revision
        )
    if runtime.name == "compile":
        return CompiledEncoder(network, dim, dtype=dtype)
    return reference if dtype == torch.float32 else TorchEncoder(network, dim, dtype=dtype)


def measure_runtimes(
    reference: TorchEncoder,
    names: Sequence[RuntimeName],
    clips: ClipShape,
    make: Callable[[Runtime, TorchEncoder], ShapedEncoder] = make_encoder,
) -> Iterator[Measured]:
    """Each runtime's figures on videos of this shape, the fp32 reference's first.

    fp32 is tried in a runtime only where bfloat16 is not supported or left the reference: it
    does the same work in more time.
    """
    probes = probe_pixels(clips)
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
            except Exception as error:  # a compiler or plugin that fails must not stop the others
                figures = Measured(runtime, fault=f"{type(error).__name__}: {error}"[:300])
            yield figures
            if figures.is_right:
                break


def fastest_on_gpu(reference: TorchEncoder, clips: ClipShape) -> TorchEncoder:
    """The reference's network on its GPU in 16 bits, or the reference itself.

    16 bits are taken where the embeddings stay within `PARITY` of the reference's.
    """
    # where served pixels are: to fetch these would take longer than to encode them
    probes = probe_pixels(clips).to("cuda")
    expected = reference.encode(probes)
    best, best_seconds = reference, _wall_seconds(reference, probes)
    for dtype in (torch.bfloat16, torch.float16):
        encoder = TorchEncoder(reference.network, reference.dim, device="cuda", dtype=dtype)
        if float((encoder.encode(probes) * expected).sum(axis=1).min()) < PARITY:
            continue
        seconds = _wall_seconds(encoder, probes)
        if seconds < best_seconds:
            best, best_seconds = encoder, seconds
    return best


def _wall_seconds(encoder: Encoder, pixels: Tensor) -> float:
    times = []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        encoder.encode(pixels)
        times.append(time.perf_counter() - started)
    return min(times)


def fastest(measured: Sequence[Measured]) -> Measured:
    """The one to use. Raises ValueError when none is right."""
    right = [each for each in measured if each.is_right]
    if not right:
        raise ValueError("no runtime agrees with the reference")
    return min(right, key=lambda each: each.milliseconds)


def probe_pixels(clips: ClipShape) -> Tensor:
    """(4, N, T, 3, H, W) float32 channels-last: moving texture before flat surfaces.

    The texture has the spectrum of natural pictures, amplitude 1/f (Field, 1987), in four
    strengths. Flat surfaces and faint texture are where low precision was seen to fail.
    """
    n, t, c, h, w = clips
    generator = torch.Generator().manual_seed(0)
    frequency = torch.hypot(torch.fft.fftfreq(h)[:, None], torch.fft.fftfreq(w)[None])
    falling = 1.0 / frequency.clamp(min=1.0 / max(h, w))
    noise = torch.randn(len(_STRENGTHS), c + 1, h, w, generator=generator)
    texture = torch.fft.ifft2(torch.fft.fft2(noise) * falling).real
    texture = texture / texture.std(dim=(1, 2, 3), keepdim=True)
    shape = texture[:, c:]  # the channel that says where the surface is, and greys the others
    surface = torch.randn(len(_STRENGTHS), c, 1, 1, generator=generator) * 0.3
    strengths = torch.tensor(_STRENGTHS).view(-1, 1, 1, 1)
    pictures = torch.where(shape > 0.5, strengths * (0.4 * texture[:, :c] + 0.9 * shape), surface)
    frames = [pictures.roll(2 * step, dims=3).permute(0, 2, 3, 1) for step in range(n * t)]
    videos = torch.stack(frames, dim=1).clamp(-1.0, 1.0).reshape(-1, n, t, h, w, c)
    return videos.permute(0, 1, 2, 5, 3, 4)


def _measured(encoder: Encoder, probes: Tensor, expected: npt.NDArray[np.float32]) -> Measured:
    found = np.concatenate([encoder.encode(video[None]) for video in probes])
    cosines = (found * expected).sum(axis=1)
    seconds = min(_seconds(encoder, probes[:1]) for _ in range(_TIMED_RUNS))
    return Measured(encoder.runtime, round(1000 * seconds, 2), round(float(cosines.min()), 7))


def _seconds(encoder: Encoder, pixels: Tensor) -> float:
    # processor time: others may be busy on this computer, and throughput is what is chosen for
    started = time.process_time()
    encoder.encode(pixels)
    return time.process_time() - started
