"""Encode videos with a sentence-transformers model whose network runs in another runtime.

The library's processor stays in Python. What follows it is recorded once for each shape of clips,
and computed by OpenVINO or torch.compile.
"""

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from model.encoder.compiled_encoder import compiled
from model.encoder.encoder import ClipShape, Encoder, Runtime
from model.encoder.networks import VideoTowerNetwork, served_embeddings
from model.encoder.rounding import lower_precision, round_filters
from model.encoder.sentence_tower import SentenceTower
from model.encoder.split.recording import record

_Run = Callable[[Sequence[Tensor]], Tensor]


class SplitEncoder(Encoder):
    """Runs a network with a sentence tower; implements `ShapedEncoder`.

    One video is processed at a time; OpenVINO then encodes `threads` videos at once, and stores its
    graphs in `cache` as `OpenVinoEncoder` does. Preparing raises ValueError where a model cannot be
    recorded, and the errors of the runtime where that does not run it.
    """

    def __init__(
        self,
        network: VideoTowerNetwork,
        dim: int,
        runtime: Runtime,
        *,
        threads: int = 1,
        cache: Path | None = None,
        revision: str = "",
    ) -> None:
        self._network = network
        self._dim = dim
        self._runtime = runtime
        self._dtype: torch.dtype = getattr(torch, runtime.precision)
        self._threads = threads
        self._cache = cache
        self._revision = revision
        self._parts: dict[ClipShape, tuple[_Processed, _Run]] = {}
        self._processing = threading.Lock()

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._dim

    @property
    def runtime(self) -> Runtime:
        """The runtime of what follows the processor."""
        return self._runtime

    @property
    def mixes_frames(self) -> bool:
        """Whether the model sees the frames of a clip together."""
        return self._network.mixes_frames

    def is_prepared(self, clips: ClipShape) -> bool:
        """Whether videos of this shape can be encoded without preparation."""
        return clips in self._parts

    def prepare(self, clips: ClipShape) -> None:
        """Record the network for one video of this shape, and compile it; takes up to minutes."""
        example = self._processed(torch.zeros(clips))
        run = self._openvino(clips, example) if self._runtime.name == "openvino" else None
        self._parts[clips] = example, run or self._compiled(example)

    def features(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Map (B, N, T, 3, H, W) float32 pixels of a prepared shape to (B, N, F) float32."""
        n, t, c, h, w = pixels.shape[1:]
        example, run = self._parts[n, t, c, h, w]
        return np.stack([self._encoded(video, example, run) for video in pixels])

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map (B, F) float32 mean features to (B, dim) unit float32, in plain torch."""
        with torch.inference_mode():
            return served_embeddings(self._network, torch.from_numpy(features)).numpy()

    def _encoded(self, clips: Tensor, example: "_Processed", run: _Run) -> npt.NDArray[np.float32]:
        processed = self._processed(clips)
        # Inductor freezes weights under no_grad only, not under inference_mode.
        with torch.no_grad():
            # A processor that looks at the content makes other inputs than those recorded.
            if not processed.fits(example):
                return self._network.features(clips).float().numpy()
            vectors = run(processed.content)
            return _tower(self._network).pooled(vectors, len(clips)).float().numpy()

    def _processed(self, clips: Tensor) -> "_Processed":
        # tokenizers must not be used by two threads at once
        with self._processing:
            return _Processed.of(_tower(self._network).processed(clips))

    def _compiled(self, example: "_Processed") -> _Run:
        network = self._network if self._dtype == torch.float32 else copy.deepcopy(self._network)
        lower_precision(network, self._dtype)
        module = compiled(_recorded(network, example))
        with torch.no_grad():
            module(*example.content)
        return lambda content: module(*content)

    def _openvino(self, clips: ClipShape, example: "_Processed") -> _Run:
        # OpenVINO is an optional dependency and takes 100 ms to import.
        from model.encoder.openvino_encoder import OpenVinoGraph, graph_file

        makers = [f"{name}{version(name)}" for name in ("sentence-transformers", "transformers")]
        revision = "-".join([self._revision, *makers])
        graph = OpenVinoGraph(
            lambda: _recorded(self._rounded(), example),
            example.content,
            self._dtype,
            self._threads,
            graph_file(self._cache, revision, clips, self._dtype),
        )
        return lambda content: torch.from_numpy(graph([each.numpy() for each in content]))

    def _rounded(self) -> VideoTowerNetwork:
        if self._dtype == torch.float32:
            return self._network
        network = copy.deepcopy(self._network)
        round_filters(network, self._dtype)
        return network


@dataclass(frozen=True, slots=True, eq=False)
class _Processed:
    """What a processor made of clips: tensors of content, and all else in its place."""

    content: tuple[Tensor, ...]
    others: tuple[Any, ...]
    structure: TreeSpec

    @classmethod
    def of(cls, processed: dict[str, Any]) -> "_Processed":
        leaves, structure = tree_flatten(dict(processed))
        content = tuple(leaf.contiguous() for leaf in leaves if _is_content(leaf))
        return cls(
            content, tuple(None if _is_content(leaf) else leaf for leaf in leaves), structure
        )

    def with_content(self, content: Sequence[Tensor]) -> dict[str, Any]:
        """Return what the processor would have made, had it made this content."""
        places = iter(content)
        leaves = [next(places) if other is None else other for other in self.others]
        found: dict[str, Any] = tree_unflatten(leaves, self.structure)
        return found

    def fits(self, example: "_Processed") -> bool:
        """Whether both differ in nothing but the content of tensors."""
        return (
            self.structure == example.structure
            and [each.shape for each in self.content] == [each.shape for each in example.content]
            and all(map(_is_same, self.others, example.others))
        )


def _is_content(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _is_same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    return type(first) is type(second) and bool(first == second)


def _tower(network: VideoTowerNetwork) -> SentenceTower:
    assert isinstance(network.backbone, SentenceTower)
    return network.backbone


def _recorded(network: VideoTowerNetwork, example: _Processed) -> fx.GraphModule:
    tower = _tower(network)
    return record(lambda *content: tower.embed(example.with_content(content)), example.content)
