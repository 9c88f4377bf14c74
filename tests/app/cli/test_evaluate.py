"""`kinolex evaluate` reads public data sets in their published layouts."""

import json
from pathlib import Path

import pytest
from typer.testing import Result

from model.training.convert.import_model import import_model
from tests.app.cli.command_line import kinolex
from tests.support.clips import write_clip
from tests.support.tiny_towers import save_tiny, tiny_clip

KINETICS_TEST = """\
label,youtube_id,time_start,time_end,split
red wall,redredredre,3,4,test
blue wall,blueblueblu,3,4,test
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    source = save_tiny(tiny_clip(), folder / "tiny")
    return import_model(str(source), folder / "out", command="kinolex checkpoint import tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UCF101, HMDB51 and Kinetics, two classes each; half of UCF101 is for training."""
    root = tmp_path_factory.mktemp("data")
    for colour in ("Red", "Blue"):
        small = colour.lower()
        for group in ("g01", "g02"):
            name = f"ucf101/UCF-101/{colour}Wall/v_{colour}Wall_{group}_c01.avi"
            clip(root / name, small)
        clip(root / f"hmdb51/{small}_wall/{small}.avi", small)
        write(root / f"hmdb51/splits/{small}_wall_test_split1.txt", f"{small}.avi 2\n")
        clip(root / f"kinetics/test/{(small * 4)[:11]}_000003_000004.mp4", small)
    write(root / "kinetics/annotations/test.csv", KINETICS_TEST)
    for split, group in (("train", "g01"), ("test", "g02")):
        listed = [f"{c}Wall/v_{c}Wall_{group}_c01.avi" for c in ("Red", "Blue")]
        write(root / f"ucf101/ucfTrainTestlist/{split}list01.txt", "\n".join(listed))
    return root


def clip(path: Path, colour: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, seconds_colours=[colour])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def evaluate(checkpoint: Path, out: Path, *options: str) -> Result:
    return kinolex("evaluate", str(checkpoint), "--out", str(out), *options)


def samples_by_suite(out: Path) -> dict[str, int]:
    report = json.loads((out / "report.json").read_text())
    return {
        each["name"]: each["figures"]["served"]["accuracy"]["samples"] for each in report["suites"]
    }


def test_public_data_sets_need_one_command(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    layouts = [f"--layout={name}={data / name}" for name in ("ucf101", "hmdb51", "kinetics")]

    outcome = evaluate(checkpoint, tmp_path, *layouts)

    assert outcome.exit_code == 0, outcome.output
    assert samples_by_suite(tmp_path) == {"UCF101": 2, "HMDB51": 2, "kinetics": 2}


def test_all_samples_are_tested_on_request(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    outcome = evaluate(checkpoint, tmp_path, f"--layout=ucf101={data / 'ucf101'}", "--all-samples")

    assert outcome.exit_code == 0, outcome.output
    assert samples_by_suite(tmp_path) == {"UCF101": 4}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "Name samples to measure on"),
        (("--layout", "ucf101"), "is not NAME=DIR, such as ucf101=/data/ucf101"),
        (("--layout", "ucf=."), "no layout 'ucf'; there are activitynet"),
        (("--layout", "ucf101=/nowhere"), "/nowhere is not a folder"),
    ],
)
def test_samples_that_cannot_be_read_are_named(
    checkpoint: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    outcome = evaluate(checkpoint, tmp_path, *options)

    assert outcome.exit_code == 2
    assert message in " ".join(outcome.stderr.replace("│", " ").split())
