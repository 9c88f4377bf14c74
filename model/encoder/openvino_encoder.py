"""The network in OpenVINO: one graph per shape of a clip, as many at once as there are cores."""

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
from model.encoder.encoder import ClipShape, Runtime
from model.encoder.networks import Network, served_embeddings
from model.encoder.rounding import round_filters

_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoEncoder:
    """A folded network behind the `Encoder` protocol; a shape must be prepared before it is used.

    Every caller's thread gets one core: `threads` videos run at once and the next one waits. With
    `cache` converted graphs are kept in that folder, which must be written by nobody else, under
    names that begin with `revision`; a later process then prepares in a tenth of the time.
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
        """OpenVINO, in the precision asked for."""
        return Runtime("openvino", str(self._dtype).removeprefix("torch."))

    def is_prepared(self, clips: ClipShape) -> bool:
        """Whether videos of this shape can be encoded."""
        return clips in self._idle

    def prepare(self, clips: ClipShape) -> None:
        """Build the graph for one video of this shape; takes seconds."""
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
                # one stream alone would be pinned to the first core, in every process
                "ENABLE_CPU_PINNING": self._threads > 1,
            },
        )
        idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(self._threads):
            request = compiled.create_infer_request()
            request.infer([np.zeros(_channels_last(clips), np.float32)])
            idle.put(request)
        return idle

    def encode(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Embed (B, N, T, 3, H, W) float32 pixels of a prepared shape as (B, dim) unit float32."""
        n, t, c, h, w = pixels.shape[1:]
        idle = self._idle[n, t, c, h, w]
        # the very memory that preprocess wrote, where it is channels-last as preprocess makes it
        frames = pixels.permute(0, 1, 2, 4, 5, 3).contiguous().numpy()
        embeddings = np.empty((len(frames), self._dim), np.float32)
        request = idle.get()
        try:
            for row, video in enumerate(frames):
                answer = request.infer([video[np.newaxis]], share_inputs=True, share_outputs=True)
                embeddings[row] = answer[0][0]
        finally:
            idle.put(request)
        return embeddings

    def _graph(self, clips: ClipShape) -> openvino.Model:
        if self._cache is None:
            return self._convert(clips)
        size = "x".join(map(str, clips))
        maker = f"openvino{version('openvino')}-torch{version('torch')}"
        stored = self._cache / f"{self._revision}-{size}-{_HINTS[self._dtype]}-{maker}.xml"
        if not stored.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as partial:
                written = Path(partial, stored.name)
                openvino.save_model(self._convert(clips), written, compress_to_fp16=False)
                # the weights first: whoever finds the graph finds them too
                written.with_suffix(".bin").replace(stored.with_suffix(".bin"))
                written.replace(stored)
        return self._core.read_model(stored)

    def _convert(self, clips: ClipShape) -> openvino.Model:
        shape = _channels_last(clips)
        # a copy: export marks the parameters it walks over, which others are using
        network = copy.deepcopy(self._network)
        round_filters(network, self._dtype)
        served = _FromFrames(network).eval()
        with torch.no_grad():
            exported = torch.export.export(served, (torch.zeros(shape),))
        graph: openvino.Model = openvino.convert_model(exported)
        graph.reshape(list(shape))
        return graph


class _FromFrames(nn.Module):
    """Takes pixels channels-last, the order in which frames lie in memory."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        """(1, N, T, H, W, 3) to (1, dim) unit."""
        return served_embeddings(self.network, frames.permute(0, 1, 2, 5, 3, 4), torch.float32)


def _channels_last(clips: ClipShape) -> tuple[int, ...]:
    n, t, c, h, w = clips
    return (1, n, t, h, w, c)
