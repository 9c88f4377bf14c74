"""A client that openapi-python-client generates from `/openapi.json` can use the service."""

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.support.clips import write_clip

GENERATOR = Path(sys.prefix) / "generator" / "bin"
PROGRAM = """
import sys
from pathlib import Path

from generated import Client
from generated.api.labels import list_labels, put_labels
from generated.api.videos import classify
from generated.models import ClassifyFilesBody, ClassifyGranularity, PutLabelsJsonPutLabels
from generated.types import File

address, video = sys.argv[1:]
with Client(base_url=address) as client, open(video, "rb") as file:
    put_labels.sync(client=client, body=PutLabelsJsonPutLabels(labels=["paddling a raft"]))
    print([label.name for label in list_labels.sync(client=client, q="a raft").items])
    answer = classify.sync(
        client=client,
        body=ClassifyFilesBody(file=File(payload=file, file_name="clip.mp4")),
        labels=["red", "blue"],
        granularity=ClassifyGranularity.SEGMENTS,
    )
    print([segment.tags[0].label for segment in answer.segments])
    problem = classify.sync(
        client=client, body=File(payload=Path(video).open("rb")), label_set="nowhere"
    )
    print(problem.code)
"""


@pytest.mark.generator
@pytest.mark.slow
def test_a_generated_client_tags_a_video(server: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", seconds_colours=["red"] * 4 + ["blue"] * 4)
    (tmp_path / "openapi.json").write_text(httpx2.get(f"{server}/openapi.json").text)
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    run(
        tmp_path,
        *(GENERATOR / "openapi-python-client", "generate", "--path", "openapi.json"),
        *("--output-path", "generated", "--meta", "none", "--config", "config.yml"),
    )

    printed = run(tmp_path, GENERATOR / "python", "-c", PROGRAM, server, str(tmp_path / "clip.mp4"))

    assert printed.splitlines() == ["['paddling a raft']", "['red', 'blue']", "label_set_not_found"]


def run(folder: Path, *command: str | Path) -> str:
    """Run a program in a folder, and return what it prints."""
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout
