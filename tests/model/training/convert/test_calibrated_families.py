"""Each family is imported, calibrated from a folder of unlabelled clips, and served."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from model import Label
from model.checkpoint import load_checkpoint
from model.training.convert.import_model import ImportOptions, import_model
from model.training.convert.save_imported import ScoreFit
from tests.support.clips import write_clip
from tests.support.tiny_encoders import (
    save_pe_core,
    save_video_prism,
    tiny_pe_core,
    tiny_video_prism,
)
from tests.support.tiny_sentence_models import save_image_model, save_video_model
from tests.support.tiny_towers import save_tiny, tiny_clip, tiny_siglip

FAMILIES: dict[str, Callable[[Path], Path]] = {
    "clip": lambda folder: save_tiny(tiny_clip(), folder / "model"),
    "siglip": lambda folder: save_tiny(tiny_siglip(), folder / "model"),
    "video_prism": lambda folder: save_video_prism(tiny_video_prism(), folder / "model"),
    "pe_core": lambda folder: save_pe_core(tiny_pe_core(), folder / "model"),
    "sentence_images": save_image_model,
    "sentence_videos": save_video_model,
}
LABELS = ["riding a horse", "red wall", "juggling"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    pairs = product(("red", "green", "blue", "yellow"), repeat=2)
    for number, colours in enumerate(pairs):
        write_clip(folder / f"{number}.mp4", seconds_colours=colours)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_of_unlabelled_clips_are_served(
    family: str, clips: Path, tmp_path: Path, make_settings: Callable[..., Any]
) -> None:
    from tests.support.servers import open_client

    source = FAMILIES[family](tmp_path)
    fit = ScoreFit(videos=clips, log=lambda _: None)
    # a picture for each clip is enough where frames are seen one by one
    frames = 2 if family in ("video_prism", "sentence_videos") else 1
    options = ImportOptions(frames=frames, score_fit=fit)
    out = import_model(str(source), tmp_path / "out", command="", options=options)
    tagger = load_checkpoint(out)
    assert tagger.calibration.bank.shape == (16, tagger.dim)
    assert "16 unlabelled videos" in tagger.calibration.config.fitted_on

    with (
        open_client(make_settings(), tagger=tagger) as client,
        (clips / "0.mp4").open("rb") as file,
    ):
        answer = client.post("/classify", files={"file": file}, data={"labels": LABELS, "top_k": 3})
    assert answer.status_code == 200, answer.text
    index = tagger.index([Label(name) for name in LABELS])
    with (clips / "0.mp4").open("rb") as file:
        expected = tagger.tag(file, index, top_k=3)
    found = {tag["label"]: tag["score"] for tag in answer.json()["tags"]}
    assert found == {tag.label: pytest.approx(tag.score, abs=1e-3) for tag in expected.tags}
    assert answer.json()["unknown"]["score"] == pytest.approx(expected.unknown.score, abs=1e-3)
