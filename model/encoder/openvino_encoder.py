"""Encode videos with OpenVINO: one graph per shape of clips, several videos at once."""

import copy
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
import openvino
import torch
from torch import Tensor, nn

from model.cpu.time_slices import long_time_slices
from model.encoder.encoder import ClipShape, Encoder, Runtime
from model.encoder.networks import Network, served_embeddings, served_features
from model.encoder.rounding import round_filters

_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoEncoder(Encoder):
    """Runs a network whose batch norms are folded; implements `ShapedEncoder`.

    Each video is encoded on one core; `threads` videos are encoded at once, further calls wait.
    Converted graphs are stored in the folder `cache` under names that start with `revision`, so
    that a later process prepares in a tenth of the time. Only Kinolex may write to that folder.
    """

    def __init__(
        self,
        network: Network,
        dim: int,
        *,
        dtype: torch.dtype = torch.float32,
        threads: int = 1,
        cache: Path | None = None,
        revision: str = "",
    ) -> None:
        self._network = network
        self._dim = dim
        self._dtype = dtype
        self._threads = threads
        self._cache = cache
        self._revision = revision
        self._graphs: dict[ClipShape, OpenVinoGraph] = {}

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._dim

    @property
    def runtime(self) -> Runtime:
        """OpenVINO, in this encoder's dtype."""
        return Runtime("openvino", str(self._dtype).removeprefix("torch."))

    @property
    def mixes_frames(self) -> bool:
        """Whether the network mixes the frames of a clip."""
        return self._network.mixes_frames

    def is_prepared(self, clips: ClipShape) -> bool:
        """Whether videos of this shape can be encoded without preparation."""
        return clips in self._graphs

    def prepare(self, clips: ClipShape) -> None:
        """Compile the graph for one video of this shape; takes seconds."""
        self._graphs[clips] = OpenVinoGraph(
            self._from_frames,
            (torch.zeros(_channels_last(clips)),),
            self._dtype,
            self._threads,
            graph_file(self._cache, self._revision, clips, self._dtype),
        )

    def features(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Map (B, N, T, 3, H, W) float32 pixels of a prepared shape to (B, N, F) float32."""
        n, t, c, h, w = pixels.shape[1:]
        graph = self._graphs[n, t, c, h, w]
        # No copy for pixels from `preprocess`, which are channels last.
        frames = pixels.permute(0, 1, 2, 4, 5, 3).contiguous().numpy()
        return np.concatenate([graph([video[np.newaxis]]) for video in frames])

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map (B, F) float32 mean features to (B, dim) unit float32, in plain torch."""
        with torch.inference_mode():
            return served_embeddings(self._network, torch.from_numpy(features)).numpy()

    def _from_frames(self) -> nn.Module:
        # A copy, because export changes parameters that other threads use.
        network = copy.deepcopy(self._network)
        round_filters(network, self._dtype)
        return _FromFrames(network).eval()


class OpenVinoGraph:
    """A module that is compiled for the shapes of its inputs; `threads` calls run at once.

    The module is made where `stored` is no file of the converted graph yet. It is written there,
    unless `stored` is None.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        inputs: Sequence[Tensor],
        dtype: torch.dtype,
        threads: int,
        stored: Path | None,
    ) -> None:
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[dtype],
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            # A single stream would be pinned to the first core, in every process.
            "ENABLE_CPU_PINNING": threads > 1,
        }
        self._idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        with long_time_slices():  # for OpenVINO's own threads
            graph = _converted(make, inputs, stored)
            compiled = _core().compile_model(graph, "CPU", options)
            for _ in range(threads):
                request = compiled.create_infer_request()
                request.infer([each.numpy() for each in inputs])
                self._idle.put(request)

    def __call__(self, inputs: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Compute the output; waits while all requests are in use."""
        request = self._idle.get()
        try:
            answer = request.infer(list(inputs), share_inputs=True, share_outputs=True)
            # a copy, because the request's next answer uses the same memory
            return np.array(answer[0], np.float32)
        finally:
            self._idle.put(request)


def graph_file(
    cache: Path | None, revision: str, clips: ClipShape, dtype: torch.dtype
) -> Path | None:
    """Return the file of a converted graph for clips of a shape; None without a cache."""
    if cache is None:
        return None
    size = "x".join(map(str, clips))
    maker = f"openvino{version('openvino')}-torch{version('torch')}"
    return cache / f"{revision}-features-{size}-{_HINTS[dtype]}-{maker}.xml"


def _converted(
    make: Callable[[], nn.Module],
    inputs: Sequence[Tensor],
    stored: Path | None,
) -> openvino.Model:
    if stored is not None and stored.exists():
        return _core().read_model(stored)
    with torch.no_grad():
        exported = torch.export.export(make(), tuple(inputs))
    graph: openvino.Model = openvino.convert_model(exported)
    graph.reshape({number: list(each.shape) for number, each in enumerate(inputs)})
    if stored is None:
        return graph
    stored.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stored.parent) as partial:
        written = Path(partial, stored.name)
        openvino.save_model(graph, written, compress_to_fp16=False)
        # The weights first: a process that finds the graph must find them too.
        written.with_suffix(".bin").replace(stored.with_suffix(".bin"))
        written.replace(stored)
    return _core().read_model(stored)


@cache
def _core() -> openvino.Core:
    return openvino.Core()


class _FromFrames(nn.Module):
    """A network whose input is channels last, which is the order of pixels in memory."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        """Map (1, N, T, H, W, 3) frames to (1, N, F) features."""
        return served_features(self.network, frames.permute(0, 1, 2, 5, 3, 4), torch.float32)


def _channels_last(clips: ClipShape) -> tuple[int, ...]:
    n, t, c, h, w = clips
    return (1, n, t, h, w, c)
