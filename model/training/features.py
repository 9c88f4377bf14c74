"""Features of a network that stays as it is, kept on disk: frozen arms cost minutes, not hours."""

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.calibration import Calibration, CalibrationConfig
from model.encoder.networks import Network, video_features
from model.encoder.preprocess import PreprocessConfig
from model.encoder.torch_encoder import TorchEncoder
from model.tagger import Tagger
from model.text.text_encoder import TextEncoder
from model.training.data.manifest import Sample
from model.training.measure.sample_embeddings import Broken, Embedded, embed_readable
from model.training.progress import Progress, no_progress
from model.video.sampling import SamplingConfig

_SAVED_TOGETHER = 512


Vectors = npt.NDArray[np.float32]


class FeatureEncoder(TorchEncoder):
    """A network without its head: `encode` gives (B, F) float32 features, not unit vectors."""

    def __init__(
        self, network: Network, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(network, network.head.linear.in_features, device=device, dtype=dtype)

    def encode(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """(B, N, T, 3, H, W) float32 pixels to (B, F) float32 features."""
        autocast = torch.autocast(
            self._device.type, dtype=self._dtype, enabled=self._dtype != torch.float32
        )
        with torch.inference_mode(), autocast:
            features = video_features(self.network, pixels.to(self._device))
            return features.float().cpu().numpy()


class FeatureCache:
    """Features of one network under one preprocessing and sampling, in a folder of .npz parts."""

    def __init__(
        self,
        folder: Path,
        network: Network,
        preprocess: PreprocessConfig,
        sampling: SamplingConfig,
        text: TextEncoder,
        *,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        self._tagger = Tagger(
            encoder=FeatureEncoder(network, device=device, dtype=dtype),
            text=text,
            templates=("{}",),
            text_mean=np.zeros(text.dim, np.float32),
            preprocess=preprocess,
            sampling=sampling,
            calibration=Calibration(CalibrationConfig()),
            model_id="features",
            revision="",
            device=device,
        )
        key = f"{_weights_digest(network)} {preprocess} {sampling} {dtype}"
        self._folder = folder / hashlib.sha256(key.encode()).hexdigest()[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, npt.NDArray[np.float32]] = {}
        for path in sorted(self._folder.glob("*.npz")):
            with np.load(path) as part:
                self._known.update(zip(part["samples"].tolist(), part["features"], strict=True))

    def embed(self, samples: Sequence[Sample], progress: Progress = no_progress) -> Embedded:
        """Samples that can be read with their (N, F) float32 features."""
        missing = [sample for sample in samples if _identity(sample) not in self._known]
        broken: list[Broken] = []
        for start in range(0, len(missing), _SAVED_TOGETHER):
            done = start
            part = embed_readable(
                self._tagger,
                missing[start : start + _SAVED_TOGETHER],
                lambda some, _, done=done: progress(done + some, len(missing)),  # type: ignore[misc]  # a lambda's default has no type
            )
            broken += part.broken
            if part.samples:
                self._keep(part)
        kept = tuple(sample for sample in samples if _identity(sample) in self._known)
        rows = [self._known[_identity(sample)] for sample in kept]
        stacked = np.stack(rows) if rows else np.empty((0, self._tagger.encoder.dim))
        return Embedded(kept, stacked.astype(np.float32), tuple(broken))

    def _keep(self, part: Embedded) -> None:
        names = [_identity(sample) for sample in part.samples]
        path = self._folder / f"{hashlib.sha256(repr(names).encode()).hexdigest()[:16]}.npz"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, samples=np.array(names), features=part.vectors)
        partial.replace(path)
        self._known.update(zip(names, part.vectors, strict=True))


def _identity(sample: Sample) -> str:
    return f"{sample.path}|{sample.member}|{sample.start_seconds}|{sample.end_seconds}"


def _weights_digest(network: Network) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def apply_head(head: nn.Module, features: Vectors) -> Vectors:
    """(N, F) features to (N, D) unit embeddings."""
    with torch.inference_mode():
        return cast(Vectors, head(torch.from_numpy(features)).float().numpy())


def between(start: Network, end: Network, share: float) -> Network:
    """A network `share` of the way from `start`'s weights to those of `end`, which it may lack."""
    network = copy.deepcopy(end)
    before = start.state_dict()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point() and name in before:
                value.lerp_(before[name], 1.0 - share)
    return network
