"""The evidence part of embeddings: a small space for what a video's classes say about labels.

A label has a weight for each of a thousand classes, and a video a probability; their inner product
is the evidence. Both are projected to `evidence_dim` numbers that keep it as exactly as possible
for videos as they come: with C the covariance of the probabilities and W the labels' weights, the
singular vectors V of W C^1/2 give the video's side C^-1/2 V and the label's side C^1/2 V.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.text.knowledge import Knowledge, Vectors
from model.text.prompts import prototype_vectors
from model.text.text_encoder import TextEncoder
from model.training.knowledge.knowledge_files import ClassPhrases

# Added to the covariance, relative to its mean: classes that hardly occur in the samples may occur
# in other videos.
_SHRINKAGE = 0.01


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class EvidenceSpace:
    """`words` (classes, evidence_dim) are the rows of the word head, at most 1 long."""

    words: Vectors
    knowledge: Knowledge


def evidence_space(
    classes: tuple[ClassPhrases, ...],
    actions: Vectors,
    probabilities: Vectors,
    text: TextEncoder,
    text_mean: Vectors,
    *,
    evidence_dim: int,
    direct_share: float,
) -> EvidenceSpace:
    """Build the evidence space of a checkpoint.

    `actions` (A, text dim) are vectors of typical labels, `probabilities` (N, classes) those of
    typical videos. `direct_share` is that of `model.text.knowledge.Knowledge`.
    """
    phrases = [phrase for each in classes for phrase in each.phrases]
    vectors = prototype_vectors([[phrase] for phrase in phrases], text, text_mean)
    starts = np.cumsum([0, *(len(each.phrases) for each in classes)]).astype(np.int64)
    unit = np.eye(len(classes), dtype=np.float32)
    plain = Knowledge(vectors, starts, unit, np.zeros(len(classes), np.float32), direct_share)
    weights = plain.weights(np.concatenate([actions, vectors]))
    typical = plain.weights(actions).mean(axis=0)
    root, inverse = _roots(np.cov(probabilities.astype(np.float64), rowvar=False))
    scaled = (weights - typical) @ root
    # the right singular vectors, from the small matrix; eigenvalues are ascending
    _, axes = np.linalg.eigh(scaled.T @ scaled)
    kept = axes[:, ::-1][:, :evidence_dim]
    video_side, label_side = inverse @ kept, root @ kept
    # the head needs rows that are at most 1 long; labels' vectors are scaled by their spread anyway
    longest = np.linalg.norm(video_side, axis=1).max()
    words = (video_side / longest).astype(np.float32)
    projection = (label_side * longest).astype(np.float32)
    return EvidenceSpace(words, Knowledge(vectors, starts, projection, typical, direct_share))


def _roots(
    covariance: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the symmetric square root of a covariance with shrinkage, and its inverse."""
    size = len(covariance)
    shrunk = covariance + _SHRINKAGE * np.trace(covariance) / size * np.eye(size)
    values, vectors = np.linalg.eigh(shrunk)
    root = np.sqrt(values)
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
