"""Heads on frozen features: what they compute, and that features are computed once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.linear_model import Ridge as ReferenceRidge

from model.encoder.networks import EncoderConfig, SemanticHead
from model.text.text_encoder import normalise
from model.training.compare.feature_cache import DiskFeatureCache
from model.training.compare.heads import Ridge, conse, mix, train_head
from model.training.compare.problem import CachedText, class_folds, pose_problem
from model.training.features import apply_head
from tests.support.colour_world import (
    HELD_OUT,
    ColourNames,
    calibrated_network,
    colour_samples,
    tiny_config,
)


def test_conse_averages_the_likeliest_names_by_probability() -> None:
    head = SemanticHead(2, EncoderConfig("efficientnet_lite0", dim=3, vocabulary=3)).word_head
    assert head is not None
    head.classifier.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-9.0, -9.0]])
    head.classifier.bias.data.zero_()
    head.words.copy_(torch.eye(3))
    embedded = conse(np.array([[np.log(3.0), 0.0]], np.float32), head, names=2)
    # chances 3 to 1 to nearly nothing; the third name is not among the likeliest two
    np.testing.assert_allclose(embedded, np.array([[3.0, 1.0, 0.0]]) / np.sqrt(10), atol=1e-6)


def test_mixing_weighs_the_second_embedding() -> None:
    mixed = mix(np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32), 0.75)
    np.testing.assert_allclose(mixed, [[0.8, 0.6]], atol=1e-6)


def test_ridge_is_the_weighted_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)).astype(np.float32)
    targets = normalise(rng.normal(size=(60, 3)).astype(np.float32))
    weights = rng.uniform(0.1, 1.0, size=60)
    weights /= weights.sum()
    ours = Ridge(features, targets, weights)
    centred = features - weights @ features
    scale = np.linalg.eigvalsh(centred.T @ (weights[:, None] * centred)).mean()
    reference = ReferenceRidge(alpha=0.3 * scale).fit(features, targets, sample_weight=weights)
    expected = normalise(reference.predict(features).astype(np.float32))
    np.testing.assert_allclose(ours.embed(features, 0.3), expected, atol=1e-4)


@pytest.mark.parametrize("hidden", [0, 8])
def test_a_trained_head_learns_the_words_and_leaves_the_first_one_alone(
    tmp_path: Path, hidden: int
) -> None:
    torch.manual_seed(0)
    config = tiny_config(steps=400, optimiser=replace(tiny_config().optimiser, head_rate=0.02))
    problem = pose_problem(config, colour_samples(tmp_path), HELD_OUT, ColourNames(), tmp_path)
    rows = np.array([rows[0] for rows in problem.text_rows])
    targets = problem.bank.vectors.numpy()[rows]
    initial = SemanticHead(3, EncoderConfig("efficientnet_lite0", dim=3, vocabulary=4))
    before = {name: value.clone() for name, value in initial.state_dict().items()}
    head = train_head(problem, targets.copy(), initial, hidden=hidden, seed=0)
    assert (apply_head(head, targets) * targets).sum(axis=1).min() > 0.9
    for name, value in initial.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_same_seed_gives_the_same_head(tmp_path: Path) -> None:
    problem = pose_problem(
        tiny_config(), colour_samples(tmp_path), HELD_OUT, ColourNames(), tmp_path
    )
    features = np.ones((len(problem.training), 3), np.float32)
    initial = SemanticHead(3, EncoderConfig("efficientnet_lite0", dim=3))
    heads = [train_head(problem, features, initial, hidden=0, seed=s) for s in (1, 1, 2)]
    weights = [head.linear.weight for head in heads]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def feature_cache(folder: Path, seed: int = 0) -> DiskFeatureCache:
    config = tiny_config()
    network = calibrated_network(seed)
    return DiskFeatureCache(folder, network, config.preprocess, config.sampling, ColourNames())


def test_features_are_computed_once(tmp_path: Path) -> None:
    samples = colour_samples(tmp_path, each=1)
    first = feature_cache(tmp_path / "kept").embed(samples)
    for sample in samples:
        sample.path.unlink()
    again = feature_cache(tmp_path / "kept").embed(samples)
    assert again.samples == tuple(samples)
    np.testing.assert_array_equal(again.vectors, first.vectors)


def test_features_of_other_weights_are_others(tmp_path: Path) -> None:
    samples = colour_samples(tmp_path, each=1)
    one, other = (feature_cache(tmp_path / "kept", seed).embed(samples) for seed in (0, 1))
    assert one.vectors.shape == (len(samples), 1280)
    assert not np.allclose(one.vectors, other.vectors)


def test_a_broken_file_has_no_features(tmp_path: Path) -> None:
    samples = colour_samples(tmp_path, each=1)
    samples[2].path.write_bytes(b"nothing")
    embedded = feature_cache(tmp_path / "kept").embed(samples)
    assert [broken.sample for broken in embedded.broken] == [samples[2]]
    assert embedded.samples == (*samples[:2], *samples[3:])


def test_a_text_is_embedded_once() -> None:
    encoded: list[str] = []

    class Counting(ColourNames):
        def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
            encoded.extend(texts)
            return super().encode(texts)

    text = CachedText(Counting())
    np.testing.assert_array_equal(
        text.encode(["ruby", "moss", "ruby"]), ColourNames().encode(["ruby", "moss", "ruby"])
    )
    text.encode(["moss", "navy"])
    assert sorted(encoded) == ["moss", "navy", "ruby"]


def test_held_out_classes_are_not_trained_on(tmp_path: Path) -> None:
    problem = pose_problem(
        tiny_config(), colour_samples(tmp_path), HELD_OUT, ColourNames(), tmp_path
    )
    assert {sample.label for sample in problem.training} == {"ruby", "moss", "navy"}
    assert {sample.label for sample in problem.test} == set(HELD_OUT.test)
    assert problem.weights().sum() == pytest.approx(1.0)


def test_folds_test_every_class_once_and_validate_on_others() -> None:
    classes = [f"class {number}" for number in range(23)]
    folds = class_folds(classes, 5, seed=0)
    assert sorted(name for fold in folds for name in fold.test) == sorted(classes)
    for fold in folds:
        assert not set(fold.test) & set(fold.validation)
        assert len(fold.validation) in (2, 3)
    assert folds == class_folds(classes, 5, seed=0)


def test_more_folds_than_pairs_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 classes"):
        class_folds(["a", "b", "c"], 2, seed=0)
