"""Compares a runtime with plain PyTorch on a checkpoint.

`python -m tests.support.runtime_parity CHECKPOINT` does so for torch.compile. It is run as a
process of its own, because a compilation leaves threads and modules behind.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from model import RuntimeName, ShapedEncoder, Tagger, TorchEncoder, load_checkpoint, make_encoder
from model.encoder.encoder import Runtime
from model.encoder.sentence_tower import SentenceTower
from tests.support.paths import ROOT


def assert_same_embeddings(tagger: Tagger, name: RuntimeName) -> ShapedEncoder:
    """Encode random pixels with both, in float32; return the runtime's encoder.

    Raises AssertionError if an embedding differs by more than 1e-5.
    """
    reference = tagger.encoder
    assert isinstance(reference, TorchEncoder)
    encoder = make_encoder(Runtime(name, "float32"), reference)
    encoder.prepare(tagger.widescreen_shape)
    pixels = torch.rand(1, *tagger.widescreen_shape, generator=torch.Generator().manual_seed(3))
    if isinstance(reference.network.backbone, SentenceTower):
        pixels = (pixels * 255).round()
    np.testing.assert_allclose(encoder.encode(pixels), reference.encode(pixels), atol=1e-5)
    return encoder


def assert_compiled_gives_the_same(checkpoint: Path, cache: Path) -> None:
    """Compare torch.compile with plain PyTorch in another process, which keeps it in `cache`."""
    outcome = subprocess.run(
        [sys.executable, "-m", __name__, str(checkpoint)],
        cwd=ROOT,
        env={**os.environ, **inductor_environment(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert any(cache.iterdir())


def inductor_environment(cache: Path) -> dict[str, str]:
    """Environment of a process that compiles into a new cache.

    torch.compile takes the vector instructions that the processor has. Trying each set of them
    with a compilation, and in a process that loads torch, takes more than half of the time.
    """
    return {"TORCHINDUCTOR_CACHE_DIR": str(cache), "TORCHINDUCTOR_VEC_ISA_OK": "1"}


if __name__ == "__main__":
    assert_same_embeddings(load_checkpoint(Path(sys.argv[1])), "compile")
