"""A task of mteb runs on a data set in its real format and scores what the service ranks."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import Label, load_checkpoint
from model.errors import CheckpointError
from model.training.convert.import_model import ImportOptions, import_model
from model.training.measure.mteb_tasks import ACTION_TASKS, MtebEncoder, evaluate_on_mteb
from tests.support.clips import write_clip
from tests.support.tiny_towers import save_tiny, tiny_clip

COLOURS = ["red", "green", "blue"]
NAMES = ["red_wall", "riding_a_horse", "blue_lamp"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mteb")
    source = save_tiny(tiny_clip(), folder / "tiny")
    options = ImportOptions(frames=2)
    return import_model(str(source), folder / "out", command="", options=options)


def videos() -> list[bytes]:
    found = []
    for colour in COLOURS:
        file = io.BytesIO()
        write_clip(file, seconds_colours=[colour])
        found.append(file.getvalue())
    return found


def hmdb51(folder: Path) -> Any:
    """mteb's task, with three clips in the format of mteb/HMDB51: Parquet with whole files."""
    import mteb
    from datasets import ClassLabel, Dataset, Features, Video

    features: Any = Features({"video": Video(), "label": ClassLabel(names=NAMES)})
    rows = [{"bytes": video, "path": f"{n}.mp4"} for n, video in enumerate(videos())]
    data: Any = Dataset.from_dict({"video": rows, "label": [0, 1, 2]}, features=features)
    (folder / "data").mkdir(parents=True)
    data.to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    task: Any = mteb.get_task("HMDB51ZeroShot")
    data_set = task.metadata.dataset | {"path": str(folder)}
    task.metadata = task.metadata.model_copy(update={"dataset": data_set})
    return task


@pytest.mark.filterwarnings("ignore:Precision is ill-defined")  # a class that is never first
def test_a_task_scores_what_the_service_ranks_first(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "cache")
    scores = evaluate_on_mteb(str(checkpoint), [hmdb51(tmp_path / "hmdb51")], tmp_path / "out")

    tagger = load_checkpoint(checkpoint)
    labels = [f"a video of {name.replace('_', ' ')}" for name in NAMES]
    index = tagger.index([Label(label) for label in labels])
    hits = [
        tagger.tag(io.BytesIO(video), index, top_k=1).tags[0].label == label
        for video, label in zip(videos(), labels, strict=True)
    ]
    assert scores == {"HMDB51ZeroShot": pytest.approx(np.mean(hits))}
    written = json.loads((tmp_path / "out" / "HMDB51ZeroShot.json").read_text())
    assert written["scores"]["test"][0]["accuracy"] == pytest.approx(np.mean(hits))


def test_similarities_are_standardised_whichever_side_has_the_texts(checkpoint: Path) -> None:
    encoder = MtebEncoder(str(checkpoint))
    generator = np.random.default_rng(0)
    seen = generator.standard_normal((2, 16)).astype(np.float32)
    read = generator.standard_normal((3, 18)).astype(np.float32)
    expected = (seen @ read[:, :16].T - read[:, 16]) / read[:, 17]
    np.testing.assert_allclose(encoder.similarity(seen, read), expected, rtol=1e-5)
    np.testing.assert_allclose(encoder.similarity(read, seen), expected.T, rtol=1e-5)
    np.testing.assert_allclose(
        encoder.similarity_pairwise(seen, read[:2]), np.diagonal(expected[:, :2]), rtol=1e-5
    )


@pytest.mark.filterwarnings("ignore:.*currently in beta")
def test_the_tasks_of_the_default_are_tasks_of_mteb() -> None:
    import mteb

    for name in ACTION_TASKS:
        assert set(mteb.get_task(name).metadata.modalities) == {"video", "text"}


def test_a_task_that_mteb_does_not_have_is_an_error(checkpoint: Path, tmp_path: Path) -> None:
    from tests.app.cli.command_line import kinolex

    with pytest.raises(CheckpointError, match="no such task"):
        evaluate_on_mteb(str(checkpoint), ["Nothing51"], tmp_path)
    outcome = kinolex("evaluate-mteb", checkpoint, "--task", "Nothing51", "--out", tmp_path)
    assert outcome.exit_code == 2
    assert "no such task" in outcome.stderr
