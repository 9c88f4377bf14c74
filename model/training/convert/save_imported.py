"""Write a checkpoint of another project's weights, and fit its scores."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from model.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from model.encoder.networks import Network
from model.training.convert.carried_scores import Scores, carried_scores
from model.training.resources import Log

RAW_SCORES = """There is no background bank, and no data stand behind the scores: compare them,
do not read them as probabilities."""


@dataclass(frozen=True, slots=True)
class ScoreFit:
    """What scores are fitted on, and the device to embed on.

    `manifests` name labelled samples. Without them, the default checkpoint's fit is carried over
    where `carried` is true, with `videos`, a folder of unlabelled videos, or without.
    """

    manifests: tuple[Path, ...] = ()
    videos: Path | None = None
    carried: bool = True
    device: str = "cpu"
    log: Log = print


NO_SCORE_FIT = ScoreFit(carried=False)


def save_with_scores(
    out: Path,
    config: CheckpointConfig,
    network: Network,
    card: Callable[[CheckpointConfig, str], str],
    score_fit: ScoreFit,
    *,
    scale: float | None = None,
) -> Path:
    """Write a checkpoint without centring; fit its scores as `score_fit` specifies.

    `scale` is what the model's cosines were multiplied by in training, None where it is not known.
    `card` renders the model card from the configuration and a sentence about the scores. Returns
    `out`. Raises the errors of `fit_scores` and `carried_scores`.
    """
    dim = config.encoder.dim
    zero, none = torch.zeros(dim), torch.empty(0, dim)
    # first without scores, because they are fitted with the checkpoint as it is loaded
    save_checkpoint(out, config, network, text_mean=zero, bank=none, card=card(config, RAW_SCORES))
    scores = _scores_of(out, score_fit, scale)
    if scores is not None:
        fitted = replace(config, calibration=scores.calibration)
        save_checkpoint(
            out,
            fitted,
            network,
            text_mean=zero,
            bank=scores.bank,
            reference=scores.reference,
            card=card(fitted, scores.sentence),
        )
    return out


def _scores_of(directory: Path, score_fit: ScoreFit, scale: float | None) -> Scores | None:
    if score_fit.manifests:
        # needs the extra `train`, which the other ways do without
        from model.training.convert.fit_scores import fit_scores

        return fit_scores(
            directory, score_fit.manifests, device=score_fit.device, log=score_fit.log
        )
    if score_fit.videos is None and not score_fit.carried:
        return None
    tagger = load_checkpoint(directory, device=score_fit.device)
    return carried_scores(tagger, score_fit.videos, score_fit.log, scale=scale)
