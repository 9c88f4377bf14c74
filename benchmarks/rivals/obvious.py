"""The simplest service: one route, a temporary file, OpenCV reads every frame, R(2+1)D-18.

The paper's network in float32 with random weights, which are as fast as trained ones.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Annotated

import cv2
import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from numpy.typing import NDArray
from torch.nn import functional
from torchvision.models.video import r2plus1d_18

LABELS = [f"action {number}" for number in range(400)]
Frames = NDArray[np.uint8]
Scores = Callable[[Sequence[Frames]], NDArray[np.float32]]


def read_frames(file: UploadFile, count: int) -> list[Frames]:
    """Read every frame of the upload and keep `count` of them, evenly spaced, in RGB.

    All frames of a minute of 1080p would take 11 GB.
    """
    with tempfile.NamedTemporaryFile(suffix=".mp4") as copy:
        copy.write(file.file.read())
        copy.flush()
        video = cv2.VideoCapture(copy.name)
        length = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = set(((np.arange(count) + 0.5) * length / count).astype(int).tolist())
        frames: list[Frames] = []
        for number in range(length):
            found, frame = video.read()
            if found and number in wanted:
                frames.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
        return frames


def make_app(scores_of: Scores, count: int) -> FastAPI:
    """Make the app; `scores_of` turns `count` frames into a score for each label."""
    app = FastAPI()

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/classify")
    def classify(file: Annotated[UploadFile, "the video"]) -> dict[str, object]:
        scores = scores_of(read_frames(file, count))
        best = int(np.argmax(scores))
        return {"label": LABELS[best], "score": float(scores[best])}

    return app


def serve(scores_of: Scores, count: int) -> None:
    """Serve on the port that the command line names."""
    uvicorn.run(make_app(scores_of, count), port=int(sys.argv[1]), log_level="warning")


def main() -> None:
    """Serve the paper's network: 16 frames of 112 x 112, a 300-d embedding, 400 labels."""
    network = r2plus1d_18(weights=None)
    network.fc = torch.nn.Linear(network.fc.in_features, 300)
    network.eval()
    labels = np.random.default_rng(0).normal(size=(len(LABELS), 300)).astype(np.float32)

    def scores_of(frames: Sequence[Frames]) -> NDArray[np.float32]:
        small = [cv2.resize(frame, (112, 112)) for frame in frames]
        pixels = torch.from_numpy(np.stack(small)).float().div(255).permute(3, 0, 1, 2)[None]
        with torch.inference_mode():
            embedding = functional.normalize(network(pixels), dim=-1)[0].numpy()
        scores: NDArray[np.float32] = labels @ embedding
        return scores

    serve(scores_of, 16)


if __name__ == "__main__":
    main()
