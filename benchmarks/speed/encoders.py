"""Both networks in every runtime, one video at a time in one thread, and the peak of the CPU.

Each function prepares and returns the unit of work to repeat; `benchmarks.harness.worker_group`
runs it.
"""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness.checkpoint import checkpoint_config
from model import EncoderConfig, TorchEncoder, build_network, load_checkpoint
from model.encoder.encoder import Runtime
from model.encoder.networks import Network
from model.encoder.runtime import make_encoder

SHIPPED = "shipped"
PAPER = "r2plus1d_18"
_SIDE = 2048


def _network(name: str) -> tuple[Network, int]:
    if name == SHIPPED:
        encoder = load_checkpoint().encoder
        reference = encoder if isinstance(encoder, TorchEncoder) else encoder.reference  # type: ignore[attr-defined]  # the service's encoder wraps its reference
        return reference.network, encoder.dim
    torch.manual_seed(0)
    return build_network(EncoderConfig(network="r2plus1d_18", dim=384)).eval(), 384


def _pixels(name: str) -> torch.Tensor:
    """One video, (1, N, T, 3, H, W) float32, of the shape that the service uses."""
    shape = (1, 1, 16, 3, 112, 112)
    if name == SHIPPED:
        sampling, side = checkpoint_config()
        shape = (1, sampling.clips, sampling.frames_per_clip, 3, side, side)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def encode(name: str, runtime: str, precision: str) -> Callable[[], object]:
    """Prepare one run of the network `name` in a runtime of `model.encoder.runtime`."""
    torch.set_num_threads(1)
    pixels = _pixels(name)
    network, dim = _network(name)
    encoder = make_encoder(Runtime(runtime, precision), TorchEncoder(network, dim))  # type: ignore[arg-type]  # checked there
    encoder.prepare(tuple(pixels.shape[1:]))  # type: ignore[arg-type]  # five numbers
    return lambda: encoder.encode(pixels)


def multiply(precision: str) -> Callable[[], object]:
    """Prepare the product of two square matrices, for the peak throughput of the CPU."""
    torch.set_num_threads(1)
    dtype: torch.dtype = getattr(torch, precision)
    left, right = (torch.randn(_SIDE, _SIDE).to(dtype) for _ in range(2))
    return lambda: left @ right


def gigaflops(name: str) -> float:
    """Floating point operations for one video, in 10^9; a multiply-add counts as two."""
    network, _ = _network(name)
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(_pixels(name))
    return counter.get_total_flops() / 1e9


def product_gigaflops() -> float:
    """Floating point operations of one unit of `multiply`, in 10^9."""
    return 2 * _SIDE**3 / 1e9
