"""Convert a checkpoint of the official code (bbrattoli/ZeroShotVideoClassification).

    kinolex checkpoint convert checkpoint.pth.tar --text-model VECTORS.txt --out DIR

Its R(2+1)D-18 and ours are the same network: torchvision's without the classifier, clips averaged,
one linear layer into the space of the word vectors, unit length. Dropout is off at inference.
"""

import argparse
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.checkpoint import CheckpointConfig, TextConfig
from model.encoder.networks import ClipNetwork, EncoderConfig, build_network
from model.encoder.preprocess import PreprocessConfig
from model.errors import CheckpointError
from model.text.source import carry_text_model, load_text_encoder
from model.training.convert.save_imported import NO_SCORE_FIT, ScoreFit, save_with_scores
from model.video.sampling import SamplingConfig

# auxiliary/transforms.py of the official code: short side 128, the middle 112, these statistics
PREPROCESS = PreprocessConfig(
    128, 112, 1.0, (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
)
FRAMES = 16

_KEYS = {"state_dict", "opt", "accuracy"}
_PREFIX = "module."
_HEAD = "regressor."
# torchvision's children in their order, as nn.Sequential numbers them; the last is the pooling
_PARTS = ("stem", "layer1", "layer2", "layer3", "layer4")

_CARD = Template("""\
---
license: apache-2.0
library_name: kinolex
pipeline_tag: video-classification
tags: [zero-shot, video]
---

# $model_id

The R(2+1)D-18 in $file, a checkpoint of the official code of Brattoli et al. (CVPR 2020), with
its weights unchanged. Labels are averaged word vectors of $dim numbers; a label with a word that
has no vector is an error.

    $command

16 consecutive frames of 112 x 112 pixels, in $clips of the paper's 25 clips of each video. The
official code chose this checkpoint on the test sets and reports an accuracy of $accuracy %, which
was not measured here.

$scores
""")


def convert(
    file: Path,
    text_model: str,
    out: Path,
    *,
    command: str,
    clips: int = 1,
    score_fit: ScoreFit = NO_SCORE_FIT,
) -> Path:
    """Convert the checkpoint in `file`, with the word vectors `text_model`; return `out`.

    `clips` of 16 consecutive frames are averaged (the paper: 25). `score_fit` names manifests for
    the background bank and the scores; `command` is quoted in the model card. Raises
    CheckpointError when the file contains anything else or the text model has vectors of another
    length, and the errors of `save_with_scores`.
    """
    content = read_official(file)
    network = network_from_official(content["state_dict"])
    dim = network.head.linear.out_features
    text = load_text_encoder(text_model)
    if text.dim != dim:
        raise CheckpointError(
            f"{text_model} has vectors of length {text.dim}, the network in {file} of {dim}"
        )
    options = vars(content["opt"])
    provenance: dict[str, Any] = {
        "converted_from": file.name,
        "command": command,
        "accuracy": float(content["accuracy"]),
        "options": {k: v for k, v in options.items() if isinstance(v, str | int | float)},
    }
    model = carry_text_model(text_model, text, out)
    config = CheckpointConfig(
        model_id=out.name,
        encoder=EncoderConfig("r2plus1d_18", dim, 0.0),
        sampling=SamplingConfig(clips, FRAMES, "consecutive"),
        preprocess=PREPROCESS,
        text=TextConfig(model, text.model_hash),
        provenance=provenance,
    )
    return save_with_scores(out, config, network, _card, score_fit)


def _card(config: CheckpointConfig, scores: str) -> str:
    return _CARD.substitute(
        model_id=config.model_id,
        file=config.provenance["converted_from"],
        dim=config.encoder.dim,
        clips=config.sampling.clips,
        command=config.provenance["command"],
        accuracy=f"{config.provenance['accuracy']:.1f}",
        scores=scores,
    )


def read_official(file: Path) -> Mapping[str, Any]:
    """Read `state_dict`, `opt` and `accuracy` of such a file; nothing else is unpickled.

    Raises CheckpointError.
    """
    scalar: Any = np.float64(0).__reduce__()[0]
    allowed: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        argparse.Namespace,
        np.dtype,
        np.dtypes.Float64DType,
        # the name in NumPy 1, and the name in NumPy 2
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{file} is not a checkpoint of the official code: {reason}"
        ) from error
    if not isinstance(content, Mapping) or content.keys() != _KEYS:
        found = sorted(map(str, content)) if isinstance(content, Mapping) else type(content)
        raise CheckpointError(f"{file} holds {found}, expected {sorted(_KEYS)}")
    state, options, accuracy = (content[key] for key in ("state_dict", "opt", "accuracy"))
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{file}: state_dict holds more than weights")
    if not isinstance(options, argparse.Namespace) or not isinstance(accuracy, float | np.floating):
        raise CheckpointError(f"{file}: opt or accuracy is of another kind")
    return content


def network_from_official(state: Mapping[str, Tensor]) -> ClipNetwork:
    """Build our network with the official weights. Raises CheckpointError if they do not fit."""
    renamed = {_our_name(name): value for name, value in state.items()}
    head = renamed.get("head.linear.weight", torch.empty(300, 512))
    network = build_network(EncoderConfig("r2plus1d_18", len(head), 0.0))
    assert isinstance(network, ClipNetwork)
    wanted = {k: tuple(v.shape) for k, v in network.state_dict().items() if k != "head.mix"}
    found = {name: tuple(value.shape) for name, value in renamed.items()}
    misfits = sorted(wanted.items() ^ found.items())
    if misfits:
        name, _ = misfits[0]
        raise CheckpointError(
            f"its weights are not those of the official R(2+1)D-18: {name} is "
            f"{found.get(name, 'missing')}, expected {wanted.get(name, 'nothing')}"
        )
    network.load_state_dict({**renamed, "head.mix": network.head.mix})
    return network.eval()


def _our_name(name: str) -> str:
    name = name.removeprefix(_PREFIX)
    if name.startswith(_HEAD):
        return f"head.linear.{name.removeprefix(_HEAD)}"
    model, _, rest = name.partition(".")
    number, _, leaf = rest.partition(".")
    if model == "model" and number.isdecimal() and int(number) < len(_PARTS):
        return f"backbone.{_PARTS[int(number)]}.{leaf}"
    return name
