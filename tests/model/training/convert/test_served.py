"""Any name can be served: a checkpoint as it is, a model after it was imported once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.checkpoint import load_checkpoint
from model.errors import CheckpointError
from model.training.convert.served import checkpoint_to_serve
from tests.support.fake_hub import fake_hub
from tests.support.paths import ROOT
from tests.support.tiny_sentence_models import save_video_model
from tests.support.tiny_towers import save_tiny, tiny_clip, tiny_siglip


def test_a_model_in_the_hubs_cache_is_imported_once_and_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    commit = "a" * 40
    stored = tmp_path / "hub" / "models--org--name"
    save_tiny(tiny_clip(), stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(commit)

    said: list[str] = []
    for name in ("org/name", f"org/name@{commit}"):
        served = checkpoint_to_serve(name, tmp_path / "cache", said.append)
        assert load_checkpoint(served).text.dim == 16
    assert sum("importing it" in sentence for sentence in said) == 2

    said.clear()
    again = checkpoint_to_serve("org/name", tmp_path / "cache", said.append)
    assert Path(again).is_dir()
    assert said == []
    assert checkpoint_to_serve(again, tmp_path / "cache", said.append) == again


@pytest.mark.slow
def test_a_model_of_the_hub_is_fetched_imported_and_then_served_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    # with modules in folders, and a template that is not JSON
    source = save_video_model(tmp_path / "source")
    name, cache = "org/name@v1.0", tmp_path / "cache"
    program = (
        "import sys; from pathlib import Path\n"
        "from model.training.convert.served import checkpoint_to_serve\n"
        "print(checkpoint_to_serve(sys.argv[1], Path(sys.argv[2]), print))"
    )
    with fake_hub("org/name", source, revision="v1.0") as hub:
        # in a process of its own, because the Hub's client reads its settings once
        first = subprocess.run(
            [sys.executable, "-c", program, name, str(cache)],
            cwd=ROOT,
            env=os.environ
            | {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub},
            capture_output=True,
            text=True,
            check=False,
        )
    assert first.returncode == 0, first.stderr
    *said, served = first.stdout.splitlines()
    assert any(sentence.startswith(f"fetching {name}: ") for sentence in said)
    assert any("importing it, once" in sentence for sentence in said)
    assert load_checkpoint(served).text.dim == 32

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    assert checkpoint_to_serve(name, cache, said.append) == served


def test_a_changed_model_is_imported_again(tmp_path: Path) -> None:
    source = save_tiny(tiny_clip(), tmp_path / "tiny")
    first = checkpoint_to_serve(str(source), tmp_path / "cache", print)
    save_tiny(tiny_siglip(), source)
    assert checkpoint_to_serve(str(source), tmp_path / "cache", print) != first


def test_a_failed_import_leaves_nothing_behind(tmp_path: Path) -> None:
    source = save_tiny(tiny_clip(), tmp_path / "tiny")
    (source / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be imported"):
        checkpoint_to_serve(str(source), tmp_path / "cache", print)
    assert list(tmp_path.glob("cache/*")) == []
