"""The bound of the 25 clips runs the network that is served."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.checkpoints.official import bare, converted
from model.encoder.torch_encoder import TorchEncoder
from model.training.convert.official import network_from_official, read_official


@pytest.mark.slow
def test_the_bare_network_gives_the_features_of_the_converted_checkpoint(tmp_path: Path) -> None:
    tagger = converted(tmp_path, clips=2)
    assert (tagger.sampling.clips, tagger.sampling.frames_per_clip) == (2, 16)
    reference = tagger.encoder
    assert isinstance(reference, TorchEncoder)
    content = read_official(tmp_path / "checkpoint.pth.tar")
    network = network_from_official(content["state_dict"])
    pixels = torch.rand(1, 2, 16, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    served = reference.features(pixels)[0].mean(axis=0)
    found = bare(network, 1)(pixels)
    cosine = served @ found / np.linalg.norm(served) / np.linalg.norm(found)
    assert cosine > 0.99
