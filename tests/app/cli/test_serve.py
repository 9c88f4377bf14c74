"""`kinolex serve`: settings that it refuses, and several processes that share the labels."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.app.cli.command_line import kinolex
from tests.app.observe.test_metrics import parse
from tests.support.clips import clip_bytes
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.tiny_towers import save_tiny, tiny_siglip

VIDEO = clip_bytes(seconds_colours=["red", "red"])


@dataclass(frozen=True)
class Served:
    """A running `kinolex serve`: its address, the folder of its metrics, and what it printed."""

    address: str
    metrics: Path
    log: Path


def test_an_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOLEX_DEVICE", "gpu")

    outcome = kinolex("serve")

    assert outcome.exit_code == 2
    assert "KINOLEX_DEVICE: Input should be 'auto', 'cpu' or 'cuda'" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("STRIDE_SECONDS", "5", "KINOLEX_STRIDE_SECONDS must not be over KINOLEX_WINDOW_SECONDS"),
        (
            "STOP_GRACE_SECONDS",
            "5",
            "KINOLEX_STOP_DELAY_SECONDS must not be over half of KINOLEX_STOP_GRACE_SECONDS",
        ),
        (
            "CALLBACK_SECRETS",
            "secret",
            "KINOLEX_CALLBACK_SECRETS: a secret is whsec_ and the base64 of 24 to 64 bytes",
        ),
    ],
)
def test_settings_that_do_not_fit_each_other_are_named(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"KINOLEX_{name}", value)

    outcome = kinolex("serve")

    assert outcome.exit_code == 2
    assert outcome.stderr == f"{said}\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`kinolex serve` with two processes, both of which have classified a video."""
    folder = tmp_path_factory.mktemp("served")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), "--workers", "2"]
    environment = {
        **os.environ,
        "KINOLEX_DATA_DIR": str(folder / "data"),
        "KINOLEX_DEVICE": "cpu",
        # no measurement of runtimes, which takes most of the processors at first
        "KINOLEX_RUNTIME": "eager",
    }
    found = Served(address, folder / "data" / "metrics", folder / "log")
    with found.log.open("w") as file:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=file)
        try:
            while not is_ready(address, server):
                time.sleep(0.2)
            # one process may be ready long before the other
            while len(processes_that_classified(found.metrics)) < 2:
                classify(address, VIDEO)
            yield found
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    assert "Traceback" not in found.log.read_text()


def is_ready(address: str, server: subprocess.Popen[bytes]) -> bool:
    try:
        return httpx2.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        assert server.poll() is None, "the server ended"
        return False


def classify(address: str, video: bytes) -> httpx2.Response:
    """Classify over a new connection, so that either process may take it."""
    answer = httpx2.post(
        f"{address}/classify", files={"file": video}, data={"top_k": "10000"}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return answer


def processes_that_classified(metrics: Path) -> set[str]:
    """Each process counts in files that are named after it."""
    return {
        file.stem.split("_")[-1]
        for file in metrics.glob("counter_*.db")
        if b"/classify" in file.read_bytes()
    }


def assert_known_everywhere(address: str, label: str, video: bytes) -> None:
    """Store a label, then ask for it four at a time."""
    put = httpx2.put(f"{address}/labels", json={"labels": [label]}, timeout=60)
    put.raise_for_status()

    def ask(_: int) -> None:
        found = httpx2.get(f"{address}/labels/{label}", timeout=60)
        assert found.status_code == 200, found.text
        answer = classify(address, video).json()
        assert label in {tag["label"] for tag in answer["tags"]}
        assert answer["label_set"]["revision"] == put.json()["label_set"]["revision"]

    with ThreadPoolExecutor(4) as clients:
        list(clients.map(ask, range(6)))


@pytest.mark.slow
def test_every_process_knows_every_label(served: Served) -> None:
    for number in range(3):
        assert_known_everywhere(served.address, f"label number {number}", VIDEO)
    answer = httpx2.post(f"{served.address}/classify", files={"file": VIDEO}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["tags"]) == 5

    printed = served.log.read_text()
    assert f"The page: {served.address}/" in printed
    assert f"curl -F file=@video.mp4 {served.address}/classify" in printed


@pytest.mark.slow
def test_each_process_answers_for_the_metrics_of_all(served: Served) -> None:
    def ask(path: str) -> str:
        """Ask over a new connection, so that either process may take it."""
        return httpx2.get(f"{served.address}{path}", timeout=60).raise_for_status().text

    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(ask, ["/model"] * 60))
    name = ("kinolex_requests_total", ("GET", "/model", "200"))
    counts = {parse(ask("/metrics"))[name] for _ in range(10)}

    assert all(json.loads(answer)["id"] for answer in answers)
    assert counts == {60}
    assert len(list(served.metrics.glob("counter_*.db"))) >= 2


@pytest.mark.slow
def test_a_model_is_imported_before_it_is_served(tmp_path: Path) -> None:
    source = save_tiny(tiny_siglip(), tmp_path / "tiny-siglip")
    port = free_port()
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), "--model", str(source)]
    environment = {
        **os.environ,
        "KINOLEX_DATA_DIR": str(tmp_path / "data"),
        "KINOLEX_DEVICE": "cpu",
        "KINOLEX_RUNTIME": "eager",
    }
    with (tmp_path / "log").open("w") as file:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=file)
        try:
            address = f"http://127.0.0.1:{port}"
            while not is_ready(address, server):
                time.sleep(0.2)
            model = httpx2.get(f"{address}/model", timeout=30).json()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    assert model["id"] == "tiny-siglip"
    assert "importing it, once, into" in (tmp_path / "log").read_text()
    [imported] = (tmp_path / "data" / "cache" / "imported").iterdir()
    assert imported.name.startswith("tiny-siglip-")


def test_a_model_that_cannot_be_served_ends_with_one_line(tmp_path: Path) -> None:
    outcome = kinolex("serve", "--model", "./nowhere")

    assert outcome.exit_code == 2
    assert outcome.stderr == "./nowhere is not a directory\n"
