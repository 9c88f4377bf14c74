"""Tag videos: the path from a file to its tags. Read this file first.

    file -probe-> VideoInfo -sample-> timestamps -decode-> FrameBatch -preprocess-> pixels
         -encode-> embedding -index-> similarities -calibrate-> tags

The service follows the same path, but decodes in worker processes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch

from model.calibration import Calibration
from model.encoder.encoder import ClipShape, Encoder
from model.encoder.preprocess import PreprocessConfig, crop_size, preprocess
from model.errors import LabelError
from model.examples import blend, example_weight
from model.index.label_block import Prototypes
from model.index.label_index import LabelIndex
from model.index.threshold_search import search_above_thresholds
from model.segment_tagging import SegmentTagging, TaggedSegments
from model.segments import DEFAULT_HYSTERESIS, Hysteresis
from model.tags import Tag, Unknown, select_tags, tags_of, unknown_of
from model.text.knowledge import Knowledge
from model.text.labels import Label, label_key
from model.text.prompts import prompts_of, prototype_vectors, unknown_words
from model.text.text_encoder import TextEncoder
from model.video.films.chunks import ChunkPlan, WindowMeans, group_chunks
from model.video.films.windows import WindowPlan
from model.video.reader import FrameBatch, VideoInfo, VideoLimits, open_video
from model.video.sampling import SamplingConfig


@dataclass(frozen=True, slots=True)
class Tagged:
    """The result of tagging a whole video: its facts, its tags, and whether none applies."""

    video: VideoInfo
    tags: tuple[Tag, ...]
    unknown: Unknown


@dataclass(frozen=True)
class Tagger:
    """A loaded checkpoint: everything from pixels and words to tags.

    `templates` are prompt templates with one `{}` each. `text_mean` is (text dim,) float32, the
    mean that centres label vectors. `knowledge` maps text vectors to the space of embeddings; None
    where both spaces are the same. `model_id` is the checkpoint's name, `revision` a hash of its
    contents, `device` the torch device of the pixels.
    """

    encoder: Encoder
    text: TextEncoder
    templates: tuple[str, ...]
    text_mean: npt.NDArray[np.float32]
    preprocess: PreprocessConfig
    sampling: SamplingConfig
    calibration: Calibration
    model_id: str
    revision: str
    device: str = "cpu"
    knowledge: Knowledge | None = None

    def tag(
        self,
        file: BinaryIO,
        index: LabelIndex,
        *,
        top_k: int = 5,
        min_score: float = 0.0,
        limits: VideoLimits | None = None,
    ) -> Tagged:
        """Tag the whole video with at most `top_k` labels of `index`, best first.

        Each tag's score reaches `min_score` and its label's own threshold. Raises a VideoError when
        the file cannot be tagged.
        """
        info, embedding = self.embed(file, limits)
        tags, unknown = self.tag_embedding(embedding, index, top_k=top_k, min_score=min_score)
        return Tagged(info, tags, unknown)

    def tag_embedding(
        self,
        embedding: npt.NDArray[np.float32],
        index: LabelIndex,
        *,
        top_k: int = 5,
        min_score: float = 0.0,
    ) -> tuple[tuple[Tag, ...], Unknown]:
        """Tag a (dim,) float32 unit embedding as `tag` does; also return whether none applies."""
        [found] = search_above_thresholds(
            index,
            embedding[np.newaxis],
            top_k,
            min_score=min_score,
            calibration=self.calibration,
        )
        tags = select_tags(tags_of(found), index, top_k=top_k, min_score=min_score)
        return tags, unknown_of(found)

    def segments(
        self,
        file: BinaryIO,
        index: LabelIndex,
        *,
        window_seconds: float = 4.0,
        stride_seconds: float = 2.0,
        max_windows: int = 1024,
        top_k: int = 5,
        min_score: float = 0.0,
        hysteresis: Hysteresis = DEFAULT_HYSTERESIS,
        limits: VideoLimits | None = None,
    ) -> TaggedSegments:
        """Find the spans of time in which labels of `index` apply.

        The video is divided into windows, which are tagged one by one and merged with hysteresis.
        Each frame is encoded once, however many windows show it (`ChunkPlan`). The stride is
        increased where there would be more than `max_windows` windows. Frames are held for a few
        windows at a time; embeddings and tags are held for all. Raises a VideoError when the file
        cannot be tagged, and ValueError for a window or stride that is not positive.
        """
        with open_video(file, limits) as video:
            plan = WindowPlan.over(
                video.info.duration_seconds,
                window_seconds=window_seconds,
                stride_seconds=stride_seconds,
                max_windows=max_windows,
            )
            tagging = self.segment_tagging(
                video.info,
                plan,
                index,
                top_k=top_k,
                min_score=min_score,
                hysteresis=hysteresis,
            )
            chunks = self.chunks(plan, video.info)
            means = WindowMeans(chunks.rows)
            for batch in chunks.batches():
                frames = video.decode(batch.distinct_seconds, short_side=self.preprocess.short_side)
                features = self.chunk_features(batch.split(frames), chunks.group)
                tagging.add(self.embed_features(means.add(features)))
        return tagging.finish()

    def chunks(self, plan: WindowPlan, video: VideoInfo) -> ChunkPlan:
        """Choose the chunks of a video to encode for the windows of a plan."""
        return ChunkPlan.over(plan, video, self.sampling, mixes_frames=self.encoder.mixes_frames)

    def chunk_features(
        self, chunks: Sequence[npt.NDArray[np.uint8]], group: int
    ) -> npt.NDArray[np.float32]:
        """Compute the (K, F) float32 features of K chunks of (T, H, W, 3) frames of one size.

        `group` is the plan's number of chunks to encode as one video.
        """
        features = self.features(list(group_chunks(chunks, group)))
        return features.reshape(-1, features.shape[-1])[: len(chunks)]

    def segment_tagging(
        self,
        video: VideoInfo,
        plan: WindowPlan,
        index: LabelIndex,
        *,
        top_k: int,
        min_score: float,
        hysteresis: Hysteresis = DEFAULT_HYSTERESIS,
    ) -> SegmentTagging:
        """Create the second half of `segments`, for callers that decode and encode themselves."""
        return SegmentTagging(
            video,
            plan,
            index,
            self.calibration,
            top_k=top_k,
            min_score=min_score,
            hysteresis=hysteresis,
        )

    def embed(
        self, file: BinaryIO, limits: VideoLimits | None = None
    ) -> tuple[VideoInfo, npt.NDArray[np.float32]]:
        """Return the video's facts and its (dim,) float32 unit embedding. Raises a VideoError."""
        with open_video(file, limits) as video:
            times = video.times(self.sampling).ravel()
            batch = video.decode(times, short_side=self.preprocess.short_side)
        return video.info, self.embed_frames([batch])[0]

    def embed_frames(self, batches: Sequence[FrameBatch]) -> npt.NDArray[np.float32]:
        """Embed B windows of video, each from the frames at its `clip_timestamps`.

        Each batch contains clips * frames_per_clip frames, clip after clip. Returns (B, dim)
        float32 unit. Windows with the same size of pixels are encoded together. Raises ValueError
        for another number of frames.
        """
        clips, frames = self.sampling.clips, self.sampling.frames_per_clip
        for batch in batches:
            if len(batch.frames) != clips * frames:
                raise ValueError(f"{len(batch.frames)} frames, expected {clips} x {frames}")
        if not batches:
            return np.empty((0, self.dim), np.float32)
        features = self.features([batch.frames for batch in batches])
        return self.embed_features(features.mean(axis=1))

    def features(self, videos: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        """Compute the features of the clips of B > 0 videos of equally many frames.

        Each video is (T, H, W, 3), its `sampling.clips` clips one after the other. Returns
        (B, N, F) float32: features of the clips, or of every frame if the encoder does not mix
        them. Videos with the same size of pixels are encoded together.
        """
        rows_of_frames: dict[tuple[int, ...], list[int]] = {}
        for row, frames in enumerate(videos):
            rows_of_frames.setdefault(frames.shape, []).append(row)
        # Frames of different sizes may be cropped to the same size.
        parts_of_size: dict[torch.Size, list[tuple[list[int], torch.Tensor]]] = {}
        for rows in rows_of_frames.values():
            pixels = self._pixels([videos[row] for row in rows])
            parts_of_size.setdefault(pixels.shape[1:], []).append((rows, pixels))
        order: list[int] = []
        features: list[npt.NDArray[np.float32]] = []
        for parts in parts_of_size.values():
            order += [row for rows, _ in parts for row in rows]
            features.append(self.encoder.features(_joined([pixels for _, pixels in parts])))
        return np.concatenate(features)[np.argsort(order)]

    def embed_features(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Embed B spans from their (B, F) float32 mean features; returns (B, dim) float32 unit."""
        if not len(features):
            return np.empty((0, self.dim), np.float32)
        return self.encoder.embed(features)

    def _pixels(self, videos: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
        pixels = preprocess(videos, self.preprocess, device=self.device)
        clips, frames = self._clips(len(videos[0]))
        return pixels.reshape(len(videos), clips, frames, *pixels.shape[1:])

    def _clips(self, frames: int) -> tuple[int, int]:
        """The clips, and the frames of each, as which the encoder gets a video of many frames.

        An encoder that does not mix frames gets each as a clip, so that whole videos and films are
        encoded in the same shape, for which a runtime is prepared once.
        """
        if not self.encoder.mixes_frames:
            return frames, 1
        return self.sampling.clips, frames // self.sampling.clips

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        """Compute each label's vectors. This runs the text model: keep the result.

        Raises LabelError, with the unknown words, when the text model has no vector for a text.
        """
        grouped = [prompts_of(label, self.templates) for label in labels]
        try:
            vectors = prototype_vectors(
                [prompts for groups in grouped for prompts in groups], self.text, self.text_mean
            )
        except LabelError as error:
            raise LabelError(str(error), unknown_words(labels, self.text)) from error
        vectors = self.in_video_space(vectors)
        background = self.calibration.background_of(vectors)
        answer: list[Prototypes] = []
        start = 0
        for label, groups in zip(labels, grouped, strict=True):
            rows = slice(start, start + len(groups))
            texts = (label.name, *label.aliases)
            answer.append(Prototypes(texts, vectors[rows], background[rows]))
            start += len(groups)
        return answer

    def in_video_space(self, texts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map (R, text dim) centred unit text vectors to (R, dim) float32 unit."""
        if self.knowledge is None:
            return texts
        return self.knowledge.extend(texts, self.calibration.bank)

    def teach(self, prototypes: Prototypes, examples: npt.NDArray[np.float32]) -> Prototypes:
        """Move a label's vectors towards (N, dim) unit embeddings, N > 0, of example videos."""
        bank = self.calibration.bank
        centre = bank.mean(axis=0) if len(bank) else np.zeros(self.encoder.dim, np.float32)
        weight = example_weight(len(examples))
        vectors = blend(prototypes.vectors, examples, centre, weight)
        return Prototypes(prototypes.texts, vectors, self.calibration.background_of(vectors))

    def index(self, labels: Sequence[Label]) -> LabelIndex:
        """Build an index of the labels with their thresholds. Raises LabelError."""
        names = [label.name for label in labels]
        index = LabelIndex.build(zip(names, self.prototypes(labels), strict=True), self.encoder.dim)
        return index.with_thresholds(
            {
                label_key(label.name): label.threshold
                for label in labels
                if label.threshold is not None
            }
        )

    @property
    def widescreen_shape(self) -> ClipShape:
        """Shape (N, T, 3, H, W) of a 16:9 video's pixels, which runtimes are prepared for."""
        short_side = self.preprocess.short_side
        height, width = crop_size(short_side, round(short_side * 16 / 9), self.preprocess)
        clips, frames = self._clips(self.sampling.clips * self.sampling.frames_per_clip)
        return (clips, frames, 3, height, width)

    @property
    def dim(self) -> int:
        """Length of an embedding, and of a label's vectors."""
        return self.encoder.dim

    @property
    def typical_videos(self) -> npt.NDArray[np.float32]:
        """Embeddings of videos for `LabelIndex.merged`: (M, dim) float32 unit; M may be 0."""
        bank = self.calibration.bank
        return bank if len(bank) else np.empty((0, self.encoder.dim), np.float32)

    @property
    def video_space(self) -> str:
        """Identifier to store with videos' embeddings; other revisions cannot compare them."""
        return self.revision

    @cached_property
    def text_space(self) -> str:
        """Hex digest to store with prototypes; only those with an equal digest may be searched.

        Covers the text model, the templates, the centring mean, the knowledge, and the bank and
        `nearest_share` that levels are computed from.
        """
        digest = hashlib.sha256(self.text.model_hash.encode())
        digest.update(repr(self.templates).encode())
        digest.update(np.ascontiguousarray(self.text_mean, np.float32).tobytes())
        digest.update(np.ascontiguousarray(self.calibration.bank, np.float32).tobytes())
        digest.update(repr(self.calibration.config.nearest_share).encode())
        if self.knowledge is not None:
            digest.update(self.knowledge.digest)
        return digest.hexdigest()


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Concatenate (B, N, T, 3, H, W) pixels along B; they stay channels last in memory."""
    if len(parts) == 1:
        return parts[0]
    return torch.cat([each.movedim(-3, -1) for each in parts]).movedim(-1, -3)
