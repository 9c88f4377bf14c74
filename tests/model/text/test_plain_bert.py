"""BERT sentence models on torch alone: the vectors of sentence-transformers without its imports."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.errors import CheckpointError
from model.text.library_model import LibraryModel
from model.text.plain_bert import PlainBert
from model.text.pretrained import DEFAULT_TEXT_MODEL, find_text_model
from model.text.sentence_encoder import SentenceTextEncoder

TEXTS = (
    "riding a horse",
    "Épée, naïve CAFÉ",
    "привет мир, İstanbul",
    "\U0001f938 手品 你好world",
    "[MASK] don't-stop_now/ok 123,456.7",
    "",
    "word " * 300,
    "a\u200bb ﬁne e\u0301a नमस्ते 한국어",
)
Change = Callable[[Any], None]


def linked_copy(folder: Path, changed: str = "", change: Change = lambda _: None) -> Path:
    """The default model's folder as links, with one JSON file changed."""
    original = find_text_model(DEFAULT_TEXT_MODEL)
    assert isinstance(original, Path)
    (folder / "1_Pooling").mkdir(parents=True)
    for path in (path for path in original.rglob("*") if path.is_file()):
        target = folder / path.relative_to(original)
        if str(path.relative_to(original)) == changed:
            document = json.loads(path.read_text(encoding="utf-8"))
            change(document)
            target.write_text(json.dumps(document), encoding="utf-8")
        else:
            target.symlink_to(path)
    return folder


def test_vectors_and_tokens_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    folder = linked_copy(tmp_path / "model")
    plain = PlainBert.find(folder)
    assert plain is not None
    library = LibraryModel(folder, "cpu")

    np.testing.assert_allclose(plain.encode(TEXTS), library.encode(TEXTS), atol=1e-5)
    words = " ".join(TEXTS).split()
    assert [plain.pieces(word) for word in words] == [library.pieces(word) for word in words]
    assert set(plain.vocabulary) == set(library.vocabulary)
    assert plain.unknown_token == library.unknown_token


@pytest.mark.parametrize(
    ("changed", "change"),
    [
        ("config.json", lambda found: found.update(model_type="roberta")),
        ("config.json", lambda found: found.update(hidden_act="relu")),
        ("modules.json", lambda found: found.pop()),
        ("1_Pooling/config.json", lambda found: found.update(pooling_mode_cls_token=True)),
        ("1_Pooling/config.json", lambda found: found.update(pooling_mode="cls")),
        ("sentence_bert_config.json", lambda found: found.update(do_lower_case=True)),
        ("config_sentence_transformers.json", lambda found: found.update(default_prompt_name="q")),
        ("tokenizer_config.json", lambda found: found.update(do_lower_case=False)),
        ("tokenizer_config.json", lambda found: found.update(tokenizer_class="XLMRoberta")),
    ],
)
def test_a_model_of_another_kind_is_left_to_the_library(
    tmp_path: Path, changed: str, change: Change
) -> None:
    assert PlainBert.find(linked_copy(tmp_path / "model", changed, change)) is None


@pytest.mark.parametrize("wrong", [{"num_hidden_layers": 7}, {"hidden_size": 192}])
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    folder = linked_copy(tmp_path / "model", "config.json", lambda found: found.update(wrong))
    with pytest.raises(CheckpointError, match=r"cannot be loaded.*do not fit"):
        SentenceTextEncoder(str(folder))


def test_the_default_checkpoint_is_loaded_without_the_libraries() -> None:
    program = (
        "import sys; from model import Label, load_checkpoint; "
        "load_checkpoint().prototypes([Label('riding a horse')]); "
        "sys.exit('transformers' in sys.modules or 'sentence_transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
