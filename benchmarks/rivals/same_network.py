"""The simplest service with Kinolex's own network, so that only decoding and serving differ."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals.obvious import LABELS, Frames, Scores, serve
from model import FrameBatch, load_checkpoint


def scorer() -> tuple[Scores, int]:
    """A function from frames to a score for each label, and the number of frames that it takes."""
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
