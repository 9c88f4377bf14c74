"""Hugging Face's X-CLIP-base in the simplest service, with random weights."""

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import XCLIPConfig, XCLIPModel, XCLIPTextConfig, XCLIPVisionConfig

from benchmarks.rivals.obvious import LABELS, Frames, serve

_FRAMES = 8
_SIDE = 224


def main() -> None:
    """Serve a network like microsoft/xclip-base-patch32: ViT-B/32 and 8 frames."""
    vision = XCLIPVisionConfig(num_frames=_FRAMES, image_size=_SIDE, patch_size=32)
    network = XCLIPModel(
        XCLIPConfig(text_config=XCLIPTextConfig().to_dict(), vision_config=vision.to_dict())
    )
    network.requires_grad_(False).train(False)
    dim = network.config.projection_dim
    labels = np.random.default_rng(0).normal(size=(len(LABELS), dim)).astype(np.float32)

    def scores_of(frames: Sequence[Frames]) -> NDArray[np.float32]:
        small = [cv2.resize(frame, (_SIDE, _SIDE)) for frame in frames]
        pixels = torch.from_numpy(np.stack(small)).float().div(255).permute(0, 3, 1, 2)[None]
        with torch.inference_mode():
            answer = network.get_video_features(pixels)
        embedding = cast("torch.Tensor", getattr(answer, "pooler_output", answer))
        scores: NDArray[np.float32] = labels @ embedding[0].numpy()
        return scores

    serve(scores_of, _FRAMES)


if __name__ == "__main__":
    main()
