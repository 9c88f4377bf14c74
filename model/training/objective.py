"""The training loss: its terms, and the network with all of them as one module.

Each function returns one term, the mean over the batch, as a scalar tensor.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.encoder.networks import Network, video_features
from model.training.config import TrainConfig
from model.training.distributed import DistributedRank, gather
from model.training.schedule import set_training_mode


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


class TrainingTask(nn.Module):
    """The network with its loss, as one module: `forward` maps pixels to the terms of the loss.

    Raises ValueError for a contrastive loss with a `micro_batch`.
    """

    _mean: Tensor
    _std: Tensor

    def __init__(
        self,
        network: Network,
        teacher: Network,
        vectors: Tensor,
        config: TrainConfig,
        process: DistributedRank | None = None,
    ) -> None:
        super().__init__()
        if config.objective.contrastive and config.batch.micro_batch:
            raise ValueError("a contrastive batch comes in one piece: set micro_batch to 0")
        self.network = network
        self.scale = nn.Parameter(torch.tensor(config.objective.scale).log())
        self.head_only = False
        # a tuple, so that neither is trained nor belongs to the saved weights
        self._frozen = (teacher, vectors)
        self._config = config
        self._process = process or DistributedRank()
        mean, std = config.preprocess.mean, config.preprocess.std
        self.register_buffer("_mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("_std", torch.tensor(std).view(3, 1, 1) * 255, persistent=False)

    def forward(
        self, pixels: Sequence[Tensor], target_rows: Tensor, candidate_rows: Tensor
    ) -> list[Tensor]:
        """Compute the loss and its terms, scalar tensors; the first is the sum of the others.

        `pixels` are (B, N, T, 3, H, W) uint8, one tensor for each kind; `target_rows` (sum of B,)
        int64 are rows of `candidate_rows` (C,) int64, which are rows of the text bank.
        """
        set_training_mode(self.network, self._config.optimiser)
        values = [(each.float() - self._mean) / self._std for each in pixels]
        teacher, vectors = self._frozen
        weight = self._config.objective.distillation
        words, known_words = self.network.head.word_head, teacher.head.word_head
        if self.head_only or weight:
            # bf16 is twice as fast forward and slower backward (depthwise convolutions on CPUs)
            with torch.no_grad(), torch.autocast(target_rows.device.type, torch.bfloat16):
                known = _features(teacher, values)
        # while the head trains alone, the backbone equals the teacher's
        bf16 = self._config.precision == "bf16"
        with torch.autocast(target_rows.device.type, torch.bfloat16, enabled=bf16):
            features = known if self.head_only else _features(self.network, values)
        candidates = vectors[candidate_rows]
        terms = self._terms(features, candidates, target_rows)
        if weight and words is not None and known_words is not None:
            terms["distillation"] = weight * distillation(
                words.classifier(features), known_words.classifier(known)
            )
        return [torch.stack(list(terms.values())).sum(), *terms.values()]

    def _terms(self, features: Tensor, candidates: Tensor, rows: Tensor) -> dict[str, Tensor]:
        weights = self._config.objective
        embeddings = self.network.head(features)
        targets = candidates[rows]
        terms: dict[str, Tensor] = {}
        if weights.mse:
            terms["mse"] = weights.mse * mse(embeddings, targets)
        if weights.cosine:
            terms["cosine"] = weights.cosine * cosine(embeddings, targets)
        if weights.cross_entropy:
            terms["cross_entropy"] = weights.cross_entropy * cross_entropy(
                embeddings,
                rows,
                candidates,
                self.scale.exp().clamp(max=weights.largest_scale),
                smoothing=weights.label_smoothing,
                synonym_similarity=weights.synonym_similarity,
            )
        if weights.contrastive:
            first = self._process.rank * len(rows)
            terms["contrastive"] = weights.contrastive * contrastive(
                gather(embeddings, self._process),
                gather(rows, self._process),
                slice(first, first + len(rows)),
                candidates,
                self.scale.exp().clamp(max=weights.largest_scale),
                synonym_similarity=weights.synonym_similarity,
            )
        return terms


def _features(network: Network, values: Sequence[Tensor]) -> Tensor:
    """Map the pixels of each kind to features, one kind after the other: (sum of B, F) fp32."""
    return torch.cat([video_features(network, each).float() for each in values])


def term_names(config: TrainConfig) -> list[str]:
    """List the names of the loss terms in the order in which `TrainingTask` returns them."""
    weights = config.objective
    named = {
        "mse": weights.mse,
        "cosine": weights.cosine,
        "cross_entropy": weights.cross_entropy,
        "contrastive": weights.contrastive,
        "distillation": weights.distillation if config.word_head else 0.0,
    }
    return [name for name, weight in named.items() if weight]
