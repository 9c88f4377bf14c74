"""Make an encoder for a runtime, and switch to it while videos are encoded."""

import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.encoder.compiled_encoder import CompiledEncoder, can_compile
from model.encoder.encoder import ClipShape, Encoder, Runtime, RuntimeName, ShapedEncoder
from model.encoder.networks import VideoTowerNetwork
from model.encoder.sentence_tower import SentenceTower
from model.encoder.split.split_encoder import SplitEncoder
from model.encoder.torch_encoder import TorchEncoder

# Shapes that are prepared after a switch, at most: each costs minutes and memory.
_MAX_SHAPES = 16


class RuntimeEncoder(Encoder):
    """Encodes with plain torch until `switch_to` replaces it by a faster runtime.

    The switch may be made while other threads encode. Shapes that the faster runtime has not
    prepared are encoded by torch, while a thread prepares them.
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
        """The runtime that encodes videos of a prepared shape."""
        return self._fast.runtime

    def switch_to(self, fast: ShapedEncoder) -> None:
        """Use this encoder from the next call of `features` on."""
        with self._lock:
            self._fast = fast
            self._preparing.clear()

    @property
    def mixes_frames(self) -> bool:
        """Whether the network mixes the frames of a clip."""
        return self.reference.mixes_frames

    def features(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Map (B, N, T, 3, H, W) float32 pixels to (B, N, F) float32 features."""
        n, t, c, h, w = pixels.shape[1:]
        fast = self._fast  # once: another thread may switch
        if fast.is_prepared((n, t, c, h, w)):
            return fast.features(pixels)
        self._prepare_in_background(fast, (n, t, c, h, w))
        return self.reference.features(pixels)

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map (B, F) float32 mean features to (B, dim) unit float32."""
        return self.reference.embed(features)

    def _prepare_in_background(self, fast: ShapedEncoder, clips: ClipShape) -> None:
        with self._lock:
            if clips in self._preparing or len(self._preparing) >= _MAX_SHAPES:
                return
            self._preparing.add(clips)
        # A daemon thread: a compilation takes minutes and must not delay the end of the process.
        threading.Thread(target=fast.prepare, args=(clips,), daemon=True).start()


def installed_runtimes() -> list[RuntimeName]:
    """List the CPU runtimes that can run on this computer, those that prepare fastest first."""
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
    """Make an encoder that computes the reference's network in another runtime on the CPU.

    `threads` is the number of videos that OpenVINO encodes at once. `cache` and `revision` are the
    folder and the name prefix of its converted graphs; see `OpenVinoEncoder`. Raises ImportError
    where the runtime is not installed, ValueError where it cannot run the network.
    """
    dtype: torch.dtype = getattr(torch, runtime.precision)
    network, dim = reference.network, reference.dim
    if isinstance(getattr(network, "backbone", None), SentenceTower) and runtime.name != "eager":
        assert isinstance(network, VideoTowerNetwork)
        return SplitEncoder(network, dim, runtime, threads=threads, cache=cache, revision=revision)
    if runtime.name == "openvino":
        # OpenVINO is an optional dependency and takes 100 ms to import.
        from model.encoder.openvino_encoder import OpenVinoEncoder

        return OpenVinoEncoder(
            network, dim, dtype=dtype, threads=threads, cache=cache, revision=revision
        )
    if runtime.name == "compile":
        return CompiledEncoder(network, dim, dtype=dtype)
    return reference if dtype == torch.float32 else TorchEncoder(network, dim, dtype=dtype)
