"""Round weights to 16 bits so that embeddings of videos with flat surfaces stay the same."""

import torch
from torch import Tensor, nn

_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def lower_precision(network: nn.Module, dtype: torch.dtype) -> None:
    """Convert all modules but `head` to `dtype`, in place; nothing changes for float32.

    Convolution weights become channels last, as pixels are.
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
    """Round the convolutions' weights in place to values of `dtype`; their own dtype stays.

    An edge filter has large weights whose sum is nearly zero. Weights that are rounded one by one
    no longer cancel, so that the filter responds to flat surfaces: with bfloat16 the cosine to
    float32 of some real clips was 0.992. Here the rounding error of each weight is added to the
    next smaller one, so that a filter's sum is off by at most its smallest weight's rounding
    (error diffusion; Floyd & Steinberg, 1976, for pixels).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.weight.data = _diffused(module.weight.data, dtype)


def _diffused(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Round (O, I, *taps) weights; shape and dtype stay."""
    taps = weight.flatten(2)
    order = taps.abs().argsort(dim=2, descending=True)
    sorted_taps = taps.gather(2, order).double()
    rounded = torch.empty_like(sorted_taps)
    lost = torch.zeros_like(sorted_taps[..., 0])
    for rank in range(sorted_taps.shape[2]):
        wanted = sorted_taps[..., rank] + lost
        rounded[..., rank] = wanted.to(dtype).double()
        lost = wanted - rounded[..., rank]
    return torch.empty_like(taps).scatter_(2, order, rounded.to(taps.dtype)).view_as(weight)
