"""The example for FiftyOne, with FiftyOne's own package and a MongoDB server."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.cli.command_line import kinolex
from tests.support.clips import write_clip
from tests.support.paths import ROOT
from tests.support.ports import free_port

PYTHON = Path(sys.prefix) / "fiftyone" / "bin" / "python"
EXAMPLE = ROOT / "client" / "examples" / "with_other_packages" / "fiftyone_detections.py"
# What another process of FiftyOne finds in the data set.
READ = """
import json, sys
import fiftyone

found = {
    sample.filename: [
        [each.label, list(each.support)] for each in sample.actions.detections
    ]
    for sample in fiftyone.load_dataset(sys.argv[1])
}
print(json.dumps(found))
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """The address of a MongoDB server, which FiftyOne would otherwise leave to end by itself."""
    [mongod] = PYTHON.parents[1].glob("lib/*/site-packages/fiftyone/db/bin/mongod")
    folder, port = tmp_path / "mongo", free_port()
    folder.mkdir()
    options = [f"--dbpath={folder}", f"--port={port}", "--nounixsocket", "--nojournal", "--quiet"]
    with (tmp_path / "mongod.log").open("wb") as log:
        process = subprocess.Popen([mongod, *options], stdout=log, stderr=log)
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    said = (tmp_path / "mongod.log").read_text(encoding="utf-8")
                    assert process.poll() is None, said
                    time.sleep(0.05)
            yield f"mongodb://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture
def environment(database: str, tmp_path: Path) -> dict[str, str]:
    """No settings of the user, whose home FiftyOne and matplotlib would write to."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT / "client"),
        "FIFTYONE_DATABASE_URI": database,
        "FIFTYONE_DO_NOT_TRACK": "true",
    }


def run(environment: dict[str, str], *words: str | Path) -> str:
    outcome = subprocess.run(
        [PYTHON, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


@pytest.mark.fiftyone
def test_asked_and_saved_answers_are_temporal_detections(
    server: str, environment: dict[str, str], tmp_path: Path
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write_clip(films / "saved.mp4", seconds_colours=["green"] * 3, fps=25)
    command = ["classify", films, "--url", server, "--labels", "green", "--segments"]
    saved = kinolex(*command, "--format", "json", "--sidecar")
    assert saved.exit_code == 0, saved.output
    write_clip(films / "asked.mp4", seconds_colours=["red"] * 4 + ["blue"] * 4)

    printed = run(environment, EXAMPLE, server, films, "films", "red", "blue")

    assert printed.endswith("2 videos, 3 detections\n")
    # what FiftyOne says about the age of MongoDB comes first
    found = json.loads(run(environment, "-c", READ, "films").splitlines()[-1])
    # Red is in the windows from 0 and 2 s, blue in those from 2 and 4 s. Segments end in the middle
    # of what two windows share: red after 5 s of 8, and blue starts after 3 s. FiftyOne gives the
    # time t the frame 1 + t / 8 * 79, rounded: 50.375 and 30.625.
    assert found == {
        "asked.mp4": [["red", [1, 50]], ["blue", [31, 80]]],
        "saved.mp4": [["green", [1, 75]]],
    }
