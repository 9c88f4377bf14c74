"""Measure a checkpoint on the video classification tasks of `mteb` (MVEB, arXiv 2606.14958).

    kinolex evaluate-mteb CHECKPOINT --task HMDB51ZeroShot --out results/

mteb gives the data, the labels and the metrics; each video goes the way of a served one, from its
file to its embedding. mteb is in the extra `mteb`.
"""

import io
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.checkpoint import load_checkpoint
from model.errors import CheckpointError
from model.tagger import Tagger
from model.text.labels import Label
from model.training.progress import Progress, no_progress

# MVEB's zero-shot tasks on human actions, without sound
ACTION_TASKS = (
    "UCF101VideoZeroShotClassification",
    "HMDB51ZeroShot",
    "Kinetics400ZeroShot",
    "Kinetics600VZeroShot",
    "Kinetics700VZeroShot",
)


class MtebEncoder:
    """A checkpoint with the interface of mteb's `EncoderProtocol`.

    A text is embedded as a label is, with the checkpoint's templates; its vector is followed by its
    level and its spread, by which `similarity` standardises as the service does.
    """

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        device: str | None = None,
        progress: Progress = no_progress,
        **_: Any,
    ) -> None:
        name = f"{model_name}@{revision}" if revision else model_name
        self._tagger: Tagger = load_checkpoint(name, device=device or "cpu")
        self._progress = progress

    @property
    def mteb_model_meta(self) -> Any:
        """Name and revision, under which mteb stores results."""
        from mteb.models.model_meta import ModelMeta

        name = f"kinolex/{self._tagger.model_id}"
        return ModelMeta.create_empty(
            overwrites={
                "name": name,
                "revision": self._tagger.revision,
                "modalities": ["video", "text"],
            }
        )

    def encode(self, inputs: Any, **_: Any) -> npt.NDArray[np.float32]:
        """Embed the rows of a data loader: (N, dim) for videos, (N, dim + 2) for texts.

        Raises ValueError for rows with neither, or with sound or images beside.
        """
        rows = inputs.dataset
        columns = set(rows.column_names) & {"video", "text", "image", "audio"}
        if columns == {"video"}:
            return self._videos(rows)
        if columns == {"text"}:
            return self._texts([str(text) for text in rows["text"]])
        raise ValueError(f"videos or texts are needed, not rows of {sorted(columns)}")

    def similarity(
        self, first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Compare (N, dim) with (M, dim) embeddings: (N, M); those of texts are standardised."""
        return _compared(np.asarray(first), np.asarray(second), self._tagger.dim)

    def similarity_pairwise(
        self, first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Compare each of N embeddings with the one in the same row: (N,)."""
        return np.diagonal(self.similarity(first, second)).copy()

    def _videos(self, rows: Any) -> npt.NDArray[np.float32]:
        from datasets import Video

        # Not decoded by the data set: the file goes through our checks, sampling and decoding.
        files = rows.cast_column("video", Video(decode=False))
        vectors = []
        for row in files:
            vectors.append(self._tagger.embed(_opened(row["video"]))[1])
            self._progress(len(vectors), len(files))
        return np.stack(vectors)

    def _texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        made = self._tagger.prototypes([Label(text) for text in texts])
        return np.stack([np.concatenate([each.vectors[0], each.background[0]]) for each in made])


def _opened(video: Mapping[str, Any]) -> io.BytesIO:
    content = video["bytes"]
    return io.BytesIO(Path(video["path"]).read_bytes() if content is None else content)


def _compared(
    first: npt.NDArray[np.float32], second: npt.NDArray[np.float32], dim: int
) -> npt.NDArray[np.float32]:
    if first.shape[1] > dim:
        return _compared(second, first, dim).T
    found: npt.NDArray[np.float32] = first @ second[:, :dim].T
    if second.shape[1] > dim:
        level, spread = second[:, dim:].T
        found = (found - level) / spread
    return found


def evaluate_on_mteb(
    checkpoint: str,
    tasks: Iterable[Any],
    out: Path,
    *,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> Mapping[str, float]:
    """Run tasks of mteb, by name or as objects; return the main score of each, 0..1.

    The results are written to `out/{task}.json` in mteb's format. Raises CheckpointError where mteb
    is not installed or has no such task, and the errors of `load_checkpoint`.
    """
    try:
        # an optional dependency, which takes seconds to import
        import mteb
    except ImportError as error:
        raise CheckpointError("mteb is not installed: pip install --editable '.[mteb]'") from error
    try:
        chosen = [mteb.get_task(task) if isinstance(task, str) else task for task in tasks]
    except KeyError as error:
        raise CheckpointError(f"mteb has no such task: {error}") from error
    encoder = MtebEncoder(checkpoint, device=device, progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    scores = {}
    # mteb's own cache would give the result of an earlier run of the same revision
    with tempfile.TemporaryDirectory() as cache:
        for task in chosen:
            result = mteb.evaluate(
                encoder,
                task,
                cache=mteb.ResultCache(cache_path=cache),
                overwrite_strategy="always",
                co2_tracker=False,
                show_progress_bar=False,
            )
            [found] = result.task_results
            found.to_disk(out / f"{found.task_name}.json")
            scores[found.task_name] = float(found.get_score())
    return scores
