"""A text space for tests of labels: every word has a random direction.

Implements the store's `PrototypeSource` without a model, and records which labels it embedded.
"""

import hashlib
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model import Label, Prototypes


class WordVectors:
    """Maps texts to the normalised sum of their words' directions, seeded by the words' digests."""

    def __init__(self, dim: int = 16, salt: str = "") -> None:
        self._dim = dim
        self._salt = salt

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def model_hash(self) -> str:
        return f"words-{self._dim}-{self._salt}"

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        rows = [sum(self._direction(word) for word in text.casefold().split()) for text in texts]
        matrix = np.array(rows, np.float32).reshape(len(texts), self._dim)
        unit: npt.NDArray[np.float32] = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        return unit

    def unknown_words(self, text: str, language: str | None = None) -> tuple[str, ...]:
        return tuple(word for word in text.split() if word.startswith("xq"))

    def _direction(self, word: str) -> npt.NDArray[np.float32]:
        digest = hashlib.sha256(f"{self._salt}{word}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        return generator.standard_normal(self._dim).astype(np.float32)


class WordSource:
    """Maps labels to prototypes; `embedded` lists the names of embedded labels."""

    def __init__(self, dim: int = 16, salt: str = "") -> None:
        self.text = WordVectors(dim, salt)
        self.embedded: list[str] = []
        self._lock = threading.Lock()

    @property
    def dim(self) -> int:
        return self.text.dim

    @property
    def text_space(self) -> str:
        return self.text.model_hash

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        with self._lock:
            self.embedded.extend(label.name for label in labels)
        return [self._prototypes(label) for label in labels]

    def _prototypes(self, label: Label) -> Prototypes:
        named = [label.name, *label.prompts, *([label.description] if label.description else [])]
        vectors = self.text.encode([" ".join(named), *label.aliases])
        background = np.tile(np.array([0.0, 1.0], np.float32), (len(vectors), 1))
        return Prototypes((label.name, *label.aliases), vectors, background)

    @property
    def typical_videos(self) -> npt.NDArray[np.float32]:
        return np.empty((0, self.text.dim), np.float32)

    @property
    def video_space(self) -> str:
        return f"videos-{self.text.dim}"

    def teach(self, prototypes: Prototypes, examples: npt.NDArray[np.float32]) -> Prototypes:
        """Replaces every vector by the examples' mean."""
        mean = examples.mean(axis=0, keepdims=True)
        taught = np.repeat(mean / np.linalg.norm(mean), len(prototypes.texts), axis=0)
        return Prototypes(prototypes.texts, taught, prototypes.background)

    def video_of(self, text: str) -> npt.NDArray[np.float32]:
        """The (1, dim) embedding of a video that shows only `text`."""
        return self.text.encode([text])


class GatedSource(WordSource):
    """A WordSource that blocks until its gate is set."""

    def __init__(self) -> None:
        super().__init__(salt="gated")
        self.gate = threading.Event()

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        self.gate.wait()
        return super().prototypes(labels)
