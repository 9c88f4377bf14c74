"""Compares torch.compile with plain PyTorch: `python -m tests.support.compiled_parity CHECKPOINT`.

A process of its own, as a compilation leaves threads and modules behind.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from model.checkpoint import load_checkpoint
from model.encoder.compiled_encoder import CompiledEncoder
from model.encoder.encoder import Runtime
from model.encoder.runtime import make_encoder
from model.encoder.torch_encoder import TorchEncoder


def main(folder: Path) -> None:
    """Encode random pixels with both. Raises AssertionError if an embedding differs by 1e-4."""
    tagger = load_checkpoint(folder)
    reference = tagger.encoder
    assert isinstance(reference, TorchEncoder)
    compiled = make_encoder(Runtime("compile", "float32"), reference)
    assert isinstance(compiled, CompiledEncoder)
    compiled.prepare(tagger.widescreen_shape)
    pixels = torch.rand(1, *tagger.widescreen_shape, generator=torch.Generator().manual_seed(3))
    np.testing.assert_allclose(compiled.encode(pixels), reference.encode(pixels), atol=1e-4)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
