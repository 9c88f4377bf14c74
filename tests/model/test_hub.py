"""Models of the Hub are fetched once, with sentences about it, and load without network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_hub import COMMIT, fake_hub
from tests.support.paths import ROOT
from tests.support.ports import free_port

_FETCH = """
import sys
from model.errors import CheckpointError
from model.hub import find_folder
try:
    print(find_folder(sys.argv[1], ["*.json", "model.safetensors"], lambda s: print(s)))
except CheckpointError as error:
    sys.exit(f"refused: {error}")
"""


def fetch(name: str, home: Path, hub: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
    """Fetch in a process of its own, because the Hub's client reads its settings once."""
    hub = hub or f"http://127.0.0.1:{free_port()}"
    return subprocess.run(
        [sys.executable, "-c", _FETCH, name],
        cwd=ROOT,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(home),
            "HF_ENDPOINT": hub,
            **changes,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(3_000_000))
    (folder / "other.bin").write_bytes(b"pickled")
    return folder


def test_a_model_is_fetched_with_its_progress_and_then_loads_without_network(
    repository: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    # all that is known of is fetched when the small file is
    with fake_hub("org/name", repository, first="config.json") as hub:
        first = fetch("org/name", home, hub)
    assert first.returncode == 0, first.stderr
    *sentences, path = first.stdout.splitlines()
    assert sentences[-1] == "fetching org/name: 3 of 3 MB"
    folder = Path(path)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == bytes(3_000_000)

    later = fetch("org/name", home)
    assert later.stdout.splitlines() == [str(folder)], later.stderr
    offline = fetch("org/name", home, HF_HUB_OFFLINE="1")
    assert offline.stdout.splitlines() == [str(folder)], offline.stderr


def test_a_revision_can_be_pinned(repository: Path, tmp_path: Path) -> None:
    with fake_hub("org/name", repository, revision="v1.0") as hub:
        found = fetch("org/name@v1.0", tmp_path / "home", hub)
        assert Path(found.stdout.splitlines()[-1]).name == COMMIT, found.stderr
        missing = fetch("org/name@v2.0", tmp_path / "home", hub)
    assert "refused: org/name has no revision v2.0" in missing.stderr
    assert fetch(f"org/name@{COMMIT}", tmp_path / "home").returncode == 0


def test_a_model_that_does_not_exist_is_named(repository: Path, tmp_path: Path) -> None:
    with fake_hub("org/name", repository) as hub:
        found = fetch("org/other", tmp_path / "home", hub)
    assert "refused: there is no model org/other on the Hub" in found.stderr


def test_without_network_the_text_says_what_to_do(tmp_path: Path) -> None:
    found = fetch("org/name", tmp_path / "home")
    assert "refused: org/name is not in the cache of models, and the Hub cannot be" in found.stderr
    assert "give a local folder" in found.stderr
