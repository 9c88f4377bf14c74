"""The obvious service around Kinolex's own network: what is left is decoding and serving."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals.obvious import LABELS, Frames, Scores, serve
from model import FrameBatch, load_checkpoint


def scorer() -> tuple[Scores, int]:
    """From frames to a score for each label with the shipped checkpoint, and how many it takes."""
    tagger = load_checkpoint()
    count = tagger.sampling.clips * tagger.sampling.frames_per_clip
    side = tagger.preprocess.short_side
    dim = tagger.encoder.dim
    labels = np.random.default_rng(0).normal(size=(len(LABELS), dim)).astype(np.float32)

    def scores_of(frames: Sequence[Frames]) -> NDArray[np.float32]:
        scale = side / min(frames[0].shape[:2])
        small = [cv2.resize(frame, None, fx=scale, fy=scale) for frame in frames]
        batch = FrameBatch(np.stack(small), np.zeros(count))
        scores: NDArray[np.float32] = labels @ tagger.embed_frames([batch])[0]
        return scores

    return scores_of, count


if __name__ == "__main__":
    serve(*scorer())
