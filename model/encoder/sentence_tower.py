"""The video or image side of a sentence-transformers model, run by the library itself.

The library's own processor resizes, normalises and divides the frames, so that a model of any
family is used as it was trained. The model is that of the checkpoint's folder `text`, whose other
side embeds the labels. `model.training.convert.sentence_model` imports it, and
`model.encoder.split.split_encoder` runs it in other runtimes.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

SentenceModality = Literal["video", "image"]
# The frames are chosen already: the library must not choose among them.
_ALL_FRAMES = {"video": {"do_sample_frames": False}}


@dataclass(frozen=True, slots=True)
class SentenceTowerConfig:
    """How the model sees a video: as a video, or frame by frame as images.

    `frames_per_second` is told to models that write times between frames: frames of a clip have
    this rate, whatever span they were taken from. Raises ValueError for a rate that is not
    positive.
    """

    family: Literal["sentence_transformers"]
    modality: SentenceModality
    frames_per_second: float

    def __post_init__(self) -> None:
        if not 0.0 < self.frames_per_second <= 1000.0:
            raise ValueError(f"frames_per_second must be in 0..1000, not {self.frames_per_second}")


class SentenceTower(nn.Module):
    """Embeds clips with a sentence-transformers model, which `use` gives it; it has no weights.

    Pixels are on the scale 0..255, and whole numbers.
    """

    def __init__(self, config: SentenceTowerConfig) -> None:
        super().__init__()
        self.config = config
        self.model: Any = None

    def use(self, model: Any) -> None:
        """Set the SentenceTransformer that embeds; it may be shared with the text side."""
        self.model = model

    @property
    def mixes_frames(self) -> bool:
        """Whether the model sees the frames of a clip together."""
        return self.config.modality == "video"

    def forward(self, clips: Tensor) -> Tensor:
        """Map (M, T, 3, H, W) clips to (M, dim); images are averaged over T."""
        inputs = self._inputs(clips)
        found: Tensor = self.model.encode(
            inputs,
            batch_size=len(inputs),
            processing_kwargs=self._processing,
            convert_to_tensor=True,
            show_progress_bar=False,
        )
        return self.pooled(found, len(clips))

    def processed(self, clips: Tensor) -> dict[str, Any]:
        """Map (M, T, 3, H, W) clips to what the library's processor makes of them.

        Its tensors of floats hold the content. All other values follow from the shape of `clips`.
        """
        given: dict[str, Any] = self.model.preprocess(
            self._inputs(clips),
            prompt=self.model.prompts.get(self.model.default_prompt_name),
            processing_kwargs=self._processing,
        )
        return given

    def embed(self, processed: dict[str, Any]) -> Tensor:
        """Map what `processed` returns to vectors, one for each clip or image."""
        found: Tensor = self.model.eval()(dict(processed))["sentence_embedding"]
        return found[..., : self.model.truncate_dim]

    def pooled(self, vectors: Tensor, clips: int) -> Tensor:
        """Average the vectors of the images of each clip: (clips, dim)."""
        return vectors.reshape(clips, -1, vectors.shape[-1]).mean(dim=1)

    def _inputs(self, clips: Tensor) -> list[dict[str, Any]]:
        frames = clips.round().clamp(0, 255).to(torch.uint8)
        if self.config.modality == "video":
            return [{"video": self._with_times(clip)} for clip in frames]
        return [{"image": frame} for frame in frames.flatten(0, 1)]

    @property
    def _processing(self) -> dict[str, Any] | None:
        return _ALL_FRAMES if self.config.modality == "video" else None

    def _with_times(self, clip: Tensor) -> dict[str, Any]:
        count = len(clip)
        rate = self.config.frames_per_second
        times = {
            "fps": rate,
            "duration": count / rate,
            "total_num_frames": count,
            "frames_indices": list(range(count)),
        }
        return {"array": clip, "video_metadata": times}
