"""Features of frozen networks, stored on disk, so that each sample is encoded once."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from model.calibration import Calibration, CalibrationConfig
from model.encoder.networks import Network
from model.encoder.preprocess import PreprocessConfig
from model.errors import VideoError
from model.tagger import Tagger
from model.text.text_encoder import TextEncoder
from model.training.data.manifest import Sample
from model.training.features import FeatureEncoder, Vectors
from model.training.measure.sample_embeddings import Broken, Embedded, embed_readable
from model.training.progress import Progress, no_progress
from model.video.sampling import SamplingConfig

_SAMPLES_PER_FILE = 512


class DiskFeatureCache:
    """Features of one network with one preprocessing and sampling, in a folder of .npz files."""

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
        self._known: dict[str, Vectors] = {}
        for path in sorted(self._folder.glob("*.npz")):
            with np.load(path) as part:
                self._known.update(zip(part["samples"].tolist(), part["features"], strict=True))

    def embed(self, samples: Sequence[Sample], progress: Progress = no_progress) -> Embedded:
        """Return (N, F) float32 features of the readable samples; encode those not stored yet."""
        missing = [sample for sample in samples if _identity(sample) not in self._known]
        broken: list[Broken] = []
        for start in range(0, len(missing), _SAMPLES_PER_FILE):
            done = start
            part = embed_readable(
                self._tagger,
                missing[start : start + _SAMPLES_PER_FILE],
                lambda some, _, done=done: progress(done + some, len(missing)),  # type: ignore[misc]  # a lambda's default has no type
            )
            broken += part.broken
            if part.samples:
                self._store(part)
        kept = tuple(sample for sample in samples if _identity(sample) in self._known)
        rows = [self._known[_identity(sample)] for sample in kept]
        stacked = np.stack(rows) if rows else np.empty((0, self._tagger.encoder.dim))
        return Embedded(kept, stacked.astype(np.float32), tuple(broken))

    def _store(self, part: Embedded) -> None:
        names = [_identity(sample) for sample in part.samples]
        path = self._folder / f"{hashlib.sha256(repr(names).encode()).hexdigest()[:16]}.npz"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, samples=np.array(names), features=part.vectors)
        partial.replace(path)
        self._known.update(zip(names, part.vectors, strict=True))


class FrozenBackbone:
    """A network whose backbone does not learn: its features of samples, stored on disk."""

    def __init__(
        self, network: Network, cache: DiskFeatureCache, progress: Progress = no_progress
    ) -> None:
        self.network = network
        self._cache = cache
        self._progress = progress

    def features(self, samples: Sequence[Sample]) -> Vectors:
        """Return (N, F) float32 features. Raises VideoError for a sample that cannot be read."""
        embedded = self._cache.embed(samples, self._progress)
        if embedded.broken:
            first = embedded.broken[0]
            raise VideoError(f"{first.sample.path} {first.sample.member}: {first.reason}")
        return embedded.vectors


def _identity(sample: Sample) -> str:
    return f"{sample.path}|{sample.member}|{sample.start_seconds}|{sample.end_seconds}"


def _weights_digest(network: Network) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
