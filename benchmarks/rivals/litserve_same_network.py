"""Kinolex's network in LitServe, one worker per core, each video decoded as the obvious way is."""

import os
import sys

import cv2
import litserve
import numpy as np
import torch
from fastapi import Request

from benchmarks.rivals.obvious import LABELS, Frames, read_frames
from benchmarks.rivals.same_network import scorer


class Tagging(litserve.LitAPI):
    """Upload to frames to the best label."""

    def setup(self, device: str) -> None:
        """In each worker, which has a core for itself."""
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        self._scores_of, self._count = scorer()

    def decode_request(self, request: Request) -> list[Frames]:
        """The frames of the part `file` that the network takes."""
        return read_frames(request["file"], self._count)

    def predict(self, frames: list[Frames]) -> dict[str, object]:
        """The best of the labels."""
        scores = self._scores_of(frames)
        best = int(np.argmax(scores))
        return {"label": LABELS[best], "score": float(scores[best])}

    def encode_response(self, output: dict[str, object]) -> dict[str, object]:
        """JSON as it is."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Tagging(api_path="/classify"),
        accelerator="cpu",
        workers_per_device=len(os.sched_getaffinity(0)),
        timeout=900,
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
