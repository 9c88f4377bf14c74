"""Kinolex's network in LitServe, one worker per core; decodes as `obvious` does."""

import os
import sys

import cv2
import litserve
import litserve.server
import numpy as np
import torch
from fastapi import Request

from benchmarks.rivals.obvious import LABELS, Frames, read_frames
from benchmarks.rivals.same_network import scorer


class Tagging(litserve.LitAPI):  # type: ignore[misc]  # litserve has no types
    """From an upload to the best label."""

    def setup(self, device: str) -> None:
        """Load the network; each worker has one core."""
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        self._scores_of, self._count = scorer()

    def decode_request(self, request: Request) -> list[Frames]:
        """Read the frames that the network takes from the part `file`."""
        return read_frames(request["file"], self._count)

    def predict(self, frames: list[Frames]) -> dict[str, object]:
        """Find the label with the highest score."""
        scores = self._scores_of(frames)
        best = int(np.argmax(scores))
        return {"label": LABELS[best], "score": float(scores[best])}

    def encode_response(self, output: dict[str, object]) -> dict[str, object]:
        """Return the JSON object as it is."""
        return output


if __name__ == "__main__":
    # LitServe 0.2.19 does not start where `mcp` is installed without `fastmcp`.
    litserve.server._MCP_AVAILABLE = False
    server = litserve.LitServer(
        Tagging(api_path="/classify"),
        accelerator="cpu",
        workers_per_device=len(os.sched_getaffinity(0)),
        timeout=900,
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
