"""The parts of a refinement, on data whose right answer is known."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from model.training.data.manifest import Sample
from model.training.knowledge.knowledge_files import ClassPhrases
from model.training.refine.evidence import evidence_space
from model.training.refine.linear import fit_linear
from model.training.refine.samples import choose_samples
from model.training.refine.settings import LinearSettings, read_settings
from tests.support.colour_world import NAMES, ColourNames


def unit(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    units: npt.NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units.astype(np.float32)


def sample(name: str, source: str, split: str = "train", label: str = "walking") -> Sample:
    return Sample(Path(name), "", label, (), source, split)


def test_the_linear_layer_finds_the_texts_behind_its_features() -> None:
    rng = np.random.default_rng(0)
    texts = unit(rng.standard_normal((6, 4)))
    own = np.arange(240) % 6
    mixing = rng.standard_normal((4, 10)).astype(np.float32)
    features = texts[own] @ mixing + 0.1 * rng.standard_normal((240, 10)).astype(np.float32)
    settings = LinearSettings(epochs=60, batch=48, rate=0.02, dropout=0.0)

    linear = fit_linear(
        features.astype(np.float32),
        [[row] for row in own.tolist()],
        ["one"] * 240,
        torch.from_numpy(texts),
        settings,
        log=lambda _: None,
    )

    found = linear(torch.from_numpy(features.astype(np.float32))).numpy() @ texts.T
    assert (found.argmax(axis=1) == own).mean() > 0.95


def test_a_sample_with_several_texts_is_fitted_to_all_of_them() -> None:
    texts = np.eye(3, dtype=np.float32)
    features = np.ones((30, 2), np.float32)
    settings = LinearSettings(epochs=40, batch=30, rate=0.05, dropout=0.0)

    linear = fit_linear(
        features, [[0, 1]] * 30, ["one"] * 30, torch.from_numpy(texts), settings, log=lambda _: None
    )

    first, second, never = linear(torch.ones(1, 2))[0].tolist()
    assert first == pytest.approx(second, rel=0.2)
    assert min(first, second) > never + 0.3


def test_the_evidence_space_keeps_the_products_of_probabilities_and_weights() -> None:
    rng = np.random.default_rng(1)
    classes = tuple(ClassPhrases(name, (name, f"a {name} thing")) for name in NAMES)
    text = ColourNames()
    actions = text.encode(["ruby", "moss", "gold"])
    probabilities = rng.dirichlet(np.full(len(classes), 0.3), 400).astype(np.float32)

    space = evidence_space(
        classes,
        actions,
        probabilities,
        text,
        np.zeros(3, np.float32),
        evidence_dim=3,
        direct_share=1.0,
    )

    labels = text.encode(["navy", "teal", "plum"])
    known = space.knowledge
    exact = probabilities @ (known.weights(labels) - known.typical).T
    projected = (probabilities @ space.words) @ (
        (known.weights(labels) - known.typical) @ known.projection
    ).T
    error = projected - exact
    # what is the same for all videos of a label does not matter: levels are subtracted later
    assert (error - error.mean(axis=0)).std() < 0.05 * (exact - exact.mean(axis=0)).std()
    assert np.linalg.norm(space.words, axis=1).max() == pytest.approx(1.0, abs=1e-5)


def test_sources_are_limited_and_validation_videos_are_never_fitted_on() -> None:
    pictures = [sample(f"{number}.png", "many") for number in range(9)]
    videos = [
        *(sample(f"{number}.mp4", "few") for number in range(3)),
        sample("home.mp4", "home", "validation"),
        sample("no-label.mp4", "home", "validation", ""),
        sample("test.mp4", "home", "test"),
    ]

    found = choose_samples([pictures, videos], 5, {"many": 2}, seed=0)

    sources = [each.source for each in found.training]
    assert sources.count("many") == 2
    assert sources.count("few") == 3
    assert {each.split for each in found.training} == {"train"}
    assert [each.path.name for each in found.everyday] == ["home.mp4"]


def test_the_settings_of_the_served_default_can_be_read() -> None:
    settings = read_settings()
    assert settings.preprocess.crop_side == 224
    assert read_settings(seed=7).seed == 7


@pytest.mark.parametrize("text", ["model_id = 3", "no toml", 'model_id = "a"\nunknown = 1'])
def test_wrong_settings_are_refused_with_the_files_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"own\.toml"):
        read_settings(path)
