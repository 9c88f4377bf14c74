"""Networks with random weights whose answers still depend on what they see."""

import torch
from torch import nn

from model.encoder.networks import EncoderConfig, Network, build_network

LITE = EncoderConfig("efficientnet_lite0", dim=8, shift_fraction=0.125)


def lively_network(config: EncoderConfig = LITE, seed: int = 0) -> Network:
    """A network in training mode, with statistics that keep signals from dying out."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network(config)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in")
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0.0, 0.1)
                module.running_var.uniform_(0.5, 2.0)
                nn.init.uniform_(module.weight, 0.8, 1.2)
                nn.init.normal_(module.bias, 0.0, 0.1)
    return network
