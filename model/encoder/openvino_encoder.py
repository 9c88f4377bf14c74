"""Encode videos with OpenVINO: one graph per shape of clips, several videos at once."""

import copy
import tempfile
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
        self._core = openvino.Core()
        self._idle: dict[ClipShape, SimpleQueue[openvino.InferRequest]] = {}

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
        return clips in self._idle

    def prepare(self, clips: ClipShape) -> None:
        """Compile the graph for one video of this shape; takes seconds."""
        with long_time_slices():  # for OpenVINO's own threads
            self._idle[clips] = self._requests(clips)

    def _requests(self, clips: ClipShape) -> "SimpleQueue[openvino.InferRequest]":
        compiled = self._core.compile_model(
            self._graph(clips),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[self._dtype],
                "NUM_STREAMS": self._threads,
                "INFERENCE_NUM_THREADS": self._threads,
                # A single stream would be pinned to the first core, in every process.
                "ENABLE_CPU_PINNING": self._threads > 1,
            },
        )
        idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(self._threads):
            request = compiled.create_infer_request()
            request.infer([np.zeros(_channels_last(clips), np.float32)])
            idle.put(request)
        return idle

    def features(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Map (B, N, T, 3, H, W) float32 pixels of a prepared shape to (B, N, F) float32."""
        n, t, c, h, w = pixels.shape[1:]
        idle = self._idle[n, t, c, h, w]
        # No copy for pixels from `preprocess`, which are channels last.
        frames = pixels.permute(0, 1, 2, 4, 5, 3).contiguous().numpy()
        request = idle.get()
        try:
            return np.concatenate([_inferred(request, video) for video in frames])
        finally:
            idle.put(request)

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map (B, F) float32 mean features to (B, dim) unit float32, in plain torch."""
        with torch.inference_mode():
            return served_embeddings(self._network, torch.from_numpy(features)).numpy()

    def _graph(self, clips: ClipShape) -> openvino.Model:
        if self._cache is None:
            return self._convert(clips)
        size = "x".join(map(str, clips))
        maker = f"openvino{version('openvino')}-torch{version('torch')}"
        stored = self._cache / f"{self._revision}-features-{size}-{_HINTS[self._dtype]}-{maker}.xml"
        if not stored.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as partial:
                written = Path(partial, stored.name)
                openvino.save_model(self._convert(clips), written, compress_to_fp16=False)
                # The weights first: a process that finds the graph must find them too.
                written.with_suffix(".bin").replace(stored.with_suffix(".bin"))
                written.replace(stored)
        return self._core.read_model(stored)

    def _convert(self, clips: ClipShape) -> openvino.Model:
        shape = _channels_last(clips)
        # A copy, because export changes parameters that other threads use.
        network = copy.deepcopy(self._network)
        round_filters(network, self._dtype)
        served = _FromFrames(network).eval()
        with torch.no_grad():
            exported = torch.export.export(served, (torch.zeros(shape),))
        graph: openvino.Model = openvino.convert_model(exported)
        graph.reshape(list(shape))
        return graph


def _inferred(
    request: openvino.InferRequest, video: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    answer = request.infer([video[np.newaxis]], share_inputs=True, share_outputs=True)
    # a copy, because the request's next answer uses the same memory
    return np.array(answer[0], np.float32)


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
