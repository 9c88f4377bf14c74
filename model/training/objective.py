"""Terms of the training loss: each function returns the mean over the batch, a scalar tensor."""

import torch
from torch import Tensor
from torch.nn import functional


def mse(embeddings: Tensor, targets: Tensor) -> Tensor:
    """The paper's loss (Eq. 2) on unit vectors (B, D): squared distance, mean over D.

    As in the official code, both sides have unit length, so that it equals (2 - 2 cos) / D.
    """
    return functional.mse_loss(embeddings, targets)


def cosine(embeddings: Tensor, targets: Tensor) -> Tensor:
    """Mean of 1 - cos over (B, D) unit vectors: D / 2 times `mse`."""
    return 1.0 - (embeddings * targets).sum(dim=-1).mean()


def cross_entropy(
    embeddings: Tensor,
    target_rows: Tensor,
    candidates: Tensor,
    scale: Tensor,
    *,
    smoothing: float,
    synonym_similarity: float,
) -> Tensor:
    """Cross-entropy over text prototypes with a learnable scale (AURL, CVPR 2022).

    `embeddings` (B, D) and `candidates` (C, D) are unit vectors, `target_rows` (B,) the row of each
    sample's own text. Candidates more similar to a sample's text than `synonym_similarity` are left
    out of its sum: sources name one action differently, and neither name is wrong.
    """
    logits = scale * embeddings @ candidates.T
    targets = candidates[target_rows]
    synonyms = targets @ candidates.T > synonym_similarity
    synonyms[torch.arange(len(target_rows), device=target_rows.device), target_rows] = False
    # the lowest logit a cosine can give: finite, because label smoothing multiplies every logit
    logits = torch.where(synonyms, -scale.detach(), logits)
    return functional.cross_entropy(logits, target_rows, label_smoothing=smoothing)


def contrastive(
    clips: Tensor,
    rows: Tensor,
    own: slice,
    candidates: Tensor,
    scale: Tensor,
    *,
    synonym_similarity: float,
) -> Tensor:
    """Cross-entropy over the batch's clips for each text: the text-to-clip half of CLIP's loss.

    `cross_entropy` is the other half. `clips` (A, D) are unit vectors of all processes, `rows` (A,)
    the rows of their texts in `candidates` (C, D), `own` the slice of this process's texts. Other
    clips of the same text, or of a text more similar than `synonym_similarity`, are left out.
    """
    texts = candidates[rows]
    logits = scale * texts[own] @ clips.T
    synonyms = texts[own] @ texts.T > synonym_similarity
    synonyms |= rows[own].unsqueeze(1) == rows
    answers = torch.arange(len(rows), device=rows.device)[own]
    synonyms[torch.arange(len(answers), device=rows.device), answers] = False
    logits = torch.where(synonyms, -scale.detach(), logits)
    return functional.cross_entropy(logits, answers)


def distillation(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL divergence (nats) from the frozen teacher's word distribution to ours, both (B, V).

    Preserves the ImageNet nouns that fine-tuning on actions would forget (Li & Hoiem, ECCV 2016).
    """
    return functional.kl_div(
        logits.log_softmax(dim=-1),
        teacher_logits.log_softmax(dim=-1),
        log_target=True,
        reduction="batchmean",
    )
