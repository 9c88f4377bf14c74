"""The backend for Label Studio, with Label Studio's own package."""

import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.clips import write_clip
from tests.support.paths import ROOT
from tests.support.ports import free_port

PYTHON = Path(sys.prefix) / "label-studio" / "bin" / "python"
BACKEND = ROOT / "client" / "examples" / "with_other_packages" / "label_studio_backend.py"
CONFIG = """
<View>
  <TimelineLabels name="actions" toName="film">
    <Label value="red"/><Label value="blue"/>
  </TimelineLabels>
  <Video name="film" value="$video" frameRate="10"/>
</View>
"""
# Label Studio's own check of what a backend proposes.
CHECK = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface

config, prediction = json.load(sys.stdin)
errors = LabelInterface(config).validate_prediction(prediction, return_errors=True)
sys.exit("; ".join(errors) or None)
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *values: Any) -> None:
        """Print nothing: what the test looks at is the answer of the backend."""


@contextmanager
def served_folder(folder: Path) -> Iterator[str]:
    """The address at which Label Studio would have the files of its tasks."""
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def backend(kinolex: str, label_studio: str) -> Iterator[str]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "client"),
        "LABEL_STUDIO_URL": label_studio,
    }
    process = subprocess.Popen([PYTHON, BACKEND, kinolex, str(port)], env=environment)
    try:
        while True:
            try:
                assert httpx2.get(f"{address}/health").json()["status"] == "UP"
                break
            except httpx2.TransportError:
                assert process.poll() is None, "the backend ended"
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.label_studio
def test_the_backend_proposes_regions_that_label_studio_accepts(
    server: str, tmp_path: Path
) -> None:
    write_clip(tmp_path / "clip.mp4", seconds_colours=["red"] * 4 + ["blue"] * 4)
    task = {"data": {"video": "/clip.mp4"}}

    with served_folder(tmp_path) as files, backend(server, files) as address:
        asked = {"label_config": CONFIG, "tasks": [task]}
        answer = httpx2.post(f"{address}/predict", json=asked, timeout=60).json()

    [prediction] = answer["results"]
    regions = [region["value"] for region in prediction["result"]]
    assert [region["timelinelabels"] for region in regions] == [["red"], ["blue"]]
    (first,), (second,) = (region["ranges"] for region in regions)
    # eight seconds of ten frames, counted from 1; windows reach over the cut
    assert (first["start"], second["end"]) == (1, 80)
    assert second["start"] < 41 <= first["end"]
    checked = subprocess.run(
        [PYTHON, "-c", CHECK],
        input=json.dumps([CONFIG, prediction]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
