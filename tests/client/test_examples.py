"""The examples of the client run as a reader would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clips import write_clip
from tests.support.paths import ROOT

EXAMPLES = ROOT / "client" / "examples"
RUNS = {
    "tag_a_video": (["VIDEO", "red", "blue"], "0.0-"),
    "teach_a_label": (["VIDEO"], "1 example"),
    "tag_a_folder": (["FOLDER"], "red: clip.mp4 0.0-"),
    "follow_a_film": (["VIDEO"], "job: "),
}


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == RUNS.keys()


@pytest.mark.parametrize("name", RUNS)
def test_an_example_runs(name: str, server: str, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    write_clip(folder / "clip.mp4", seconds_colours=["red"] * 4 + ["blue"] * 4)
    places = {"VIDEO": str(folder / "clip.mp4"), "FOLDER": str(folder)}
    arguments, expected = RUNS[name]

    outcome = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), server]
        + [places.get(argument, argument) for argument in arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "client")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr
    assert expected in outcome.stdout


def test_the_readme_runs(server: str, tmp_path: Path) -> None:
    readme = (ROOT / "client" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    write_clip(tmp_path / "clip.mp4", seconds_colours=["red"] * 4 + ["blue"] * 4)
    assert blocks

    for block in blocks:
        outcome = subprocess.run(
            [sys.executable, "-c", block.replace("http://127.0.0.1:8000", server)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT / "client")},
            capture_output=True,
            text=True,
            check=False,
        )

        assert outcome.returncode == 0, outcome.stderr
        assert "label_not_found" in outcome.stdout
