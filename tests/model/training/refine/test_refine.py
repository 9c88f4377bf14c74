"""A refinement from a trained checkpoint to one that tags videos, with a tiny network and set."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from app.cli.program import cli
from model import Label, load_checkpoint
from model.checkpoint import CheckpointConfig, TextConfig, read_config, save_checkpoint
from model.encoder.networks import EncoderConfig
from model.encoder.preprocess import PreprocessConfig
from model.errors import CheckpointError
from model.training.data.manifest import Sample, write_manifest
from model.training.refine.refine import RefineRequest, interpolated_network, refine
from model.training.refine.settings import RefineSettings, read_settings
from model.training.resources import TrainingResources
from model.video.sampling import SamplingConfig
from tests.support.clips import write_clip
from tests.support.colour_world import ColourNames, colour_samples
from tests.support.networks import lively_network

ENCODER = EncoderConfig("efficientnet_lite0", 3, vocabulary=1000)
PIXELS = PreprocessConfig(32, 32, 1.0, (0.5,) * 3, (0.5,) * 3)
SPLIT = 'overlap = "keep"\ntest = ["gold", "teal"]\nvalidation = ["plum", "snow"]\n'
COLOURS = {"ruby": "red", "moss": "green", "navy": "blue"}


def write_trained(folder: Path, encoder: EncoderConfig = ENCODER) -> Path:
    config = CheckpointConfig(
        "trained", encoder, SamplingConfig(1, 2), PIXELS, TextConfig(str(folder / "words"))
    )
    save_checkpoint(
        folder,
        config,
        lively_network(encoder),
        text_mean=torch.zeros(encoder.dim),
        bank=torch.empty(0, encoder.dim),
        card="",
    )
    return folder


def settings(folder: Path) -> RefineSettings:
    split = folder / "split.toml"
    split.write_text(SPLIT)
    return read_settings(
        held_out=str(split),
        evidence_dim=2,
        sampling={"clips": 1, "frames_per_clip": 2},
        preprocess=vars_of(PIXELS),
        templates=["{}"],
        linear={"epochs": 8, "batch": 8},
        bank=8,
    )


def vars_of(pixels: PreprocessConfig) -> dict[str, object]:
    return {name: getattr(pixels, name) for name in PreprocessConfig.__dataclass_fields__}


def manifests(folder: Path) -> tuple[Path, ...]:
    pictures, videos = folder / "pictures", folder / "videos"
    pictures.mkdir()
    videos.mkdir()
    write_manifest(pictures / "manifest.csv", colour_samples(pictures))
    clips = []
    for label, colour in COLOURS.items():
        for number in range(2):
            path = videos / f"{label}{number}.mp4"
            write_clip(path, seconds_colours=[colour])
            clips.append(Sample(path, "", label, (), "home", "validation"))
    write_manifest(videos / "manifest.csv", clips)
    return pictures / "manifest.csv", videos / "manifest.csv"


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refined")
    request = RefineRequest(
        write_trained(folder / "trained"),
        manifests(folder),
        folder / "out",
        settings(folder),
        "kinolex checkpoint refine trained",
    )
    return refine(request, TrainingResources(log=lambda _: None), text=ColourNames())


def test_a_refined_checkpoint_tags_with_both_parts_of_its_embeddings(refined: Path) -> None:
    tagger = load_checkpoint(refined, text=ColourNames())

    assert tagger.encoder.dim == 3 + 2 + 1
    index = tagger.index([Label(name) for name in COLOURS])
    with (refined.parents[1] / "videos" / "moss0.mp4").open("rb") as file:
        tagged = tagger.tag(file, index)
    assert len(tagged.tags) == len(COLOURS)
    assert tagged.tags[0].score + tagged.unknown.score <= 1.0 + 1e-6


def test_the_knowledge_is_in_the_checkpoint_for_people_to_read(refined: Path) -> None:
    files = {path.name for path in (refined / "knowledge").iterdir()}
    assert files == {"classes.tsv", "actions.tsv"}
    assert load_checkpoint(refined, text=ColourNames()).knowledge is not None


def test_figures_are_those_of_a_fit_without_the_held_out_classes(refined: Path) -> None:
    provenance = read_config(refined).provenance
    figures = provenance["figures"]
    assert figures["test"]["classes"] == figures["validation"]["classes"] == 2
    assert figures["everyday"]["samples"] == 6
    card = (refined / "README.md").read_text()
    assert "held-out classes, test (2)" in card
    assert provenance["command"] in card


def test_scores_say_on_what_they_were_fitted(refined: Path) -> None:
    assert read_config(refined).calibration.fitted_on == "6 everyday videos with 3 labels"


def test_interpolated_weights_lie_between_imagenets_and_the_trained_ones(tmp_path: Path) -> None:
    trained = write_trained(tmp_path / "trained")
    start, middle, end = (
        interpolated_network(trained, ENCODER, share).state_dict() for share in (0.0, 0.25, 1.0)
    )
    for name in ("backbone.stem.0.weight", "head.word_head.classifier.weight"):
        expected = 0.75 * start[name] + 0.25 * end[name]
        np.testing.assert_allclose(middle[name], expected, atol=1e-5)


def test_a_checkpoint_without_a_word_head_is_refused(tmp_path: Path) -> None:
    trained = write_trained(tmp_path / "trained", EncoderConfig("efficientnet_lite0", 3))
    with pytest.raises(CheckpointError, match="with 0 words"):
        interpolated_network(trained, ENCODER, 0.25)


def test_the_command_refuses_manifests_without_everyday_videos(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    write_manifest(pictures / "manifest.csv", colour_samples(pictures, each=1))
    trained = write_trained(tmp_path / "trained")
    words = ["checkpoint", "refine", str(trained), "--data", str(pictures / "manifest.csv")]

    result = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "out")])

    assert result.exit_code != 0
    assert "words" in result.output  # the text model is missing, too
