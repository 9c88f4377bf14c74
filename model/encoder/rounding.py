"""Weights in 16 bits, rounded so that the network still sees flat surfaces as it did."""

import torch
from torch import Tensor, nn

_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def lower_precision(network: nn.Module, dtype: torch.dtype) -> None:
    """Convert all but the part named `head` in place to `dtype`; nothing happens for float32.

    Convolutions get a channels-last layout, which is how pixels arrive.
    """
    if dtype == torch.float32:
        return
    round_filters(network, dtype)
    for name, part in network.named_children():
        if name != "head":
            part.to(dtype)
            for weight in part.parameters():
                if weight.dim() in _LAYOUTS:
                    weight.data = weight.data.contiguous(memory_format=_LAYOUTS[weight.dim()])


def round_filters(network: nn.Module, dtype: torch.dtype) -> None:
    """Round the convolutions' weights in place to values that `dtype` holds; their type stays.

    A filter that looks for edges has large weights whose sum is nearly zero. Rounded one by one
    they no longer cancel, and every flat surface then answers: bfloat16 took some real clips to
    a cosine of 0.992 from fp32. Here each tap takes over what the larger ones before it lost, so
    that a filter's sum is off by no more than its smallest tap's rounding (error diffusion, as
    Floyd & Steinberg did with pixels in 1976).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.weight.data = _diffused(module.weight.data, dtype)


def _diffused(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """(O, I, *taps) to the same shape and type."""
    taps = weight.flatten(2)
    order = taps.abs().argsort(dim=2, descending=True)
    sorted_taps = taps.gather(2, order).double()
    rounded = torch.empty_like(sorted_taps)
    lost = torch.zeros_like(sorted_taps[..., 0])
    for place in range(sorted_taps.shape[2]):
        wanted = sorted_taps[..., place] + lost
        rounded[..., place] = wanted.to(dtype).double()
        lost = wanted - rounded[..., place]
    return torch.empty_like(taps).scatter_(2, order, rounded.to(taps.dtype)).view_as(weight)
