"""Load a checkpoint's text model of any kind, and copy one into a checkpoint."""

import shutil
from pathlib import Path

from model.errors import CheckpointError
from model.text.sentence_encoder import SentenceTextEncoder
from model.text.text_encoder import TextEncoder
from model.text.tower import TextTower, tower_type
from model.text.word_vectors import WordVectorEncoder, is_word_vectors

TEXT_FOLDER = "text"
# a sentence-transformers folder may contain the same weights pickled and for other runtimes
_NOT_COPIED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.xml")
# the name in config.json of a text model that is in the checkpoint's own folder
CARRIED = f"./{TEXT_FOLDER}"


def load_text_encoder(
    name_or_path: str, *, checkpoint: Path | None = None, device: str = "cpu"
) -> TextEncoder:
    """Load a text model by name or path.

    `name_or_path` is a sentence-transformers model's name or folder, a text tower's folder, a file
    or folder of word vectors, or `./text`, the folder inside `checkpoint`. Raises CheckpointError
    when the model cannot be loaded.
    """
    if name_or_path == CARRIED and checkpoint is not None:
        path = checkpoint / TEXT_FOLDER
        if not path.is_dir():
            raise CheckpointError(f"the checkpoint's text model {path} is missing")
    else:
        path = Path(name_or_path)
    if is_word_vectors(path):
        return WordVectorEncoder(path)
    if tower_type(path):
        return TextTower(path, device=device)
    return SentenceTextEncoder(str(path) if path.is_dir() else name_or_path, device=device)


def carry_text_model(name_or_path: str, text: TextEncoder, directory: Path) -> str:
    """Copy a text model from a local path into a checkpoint's folder.

    Returns the model's name for the checkpoint's configuration: `./text` for a copied model, else
    `name_or_path` itself.
    """
    path, target = Path(name_or_path), directory / TEXT_FOLDER
    if not path.exists():
        return name_or_path
    if isinstance(text, WordVectorEncoder):
        text.save(target)
    elif path.resolve() != target.resolve():
        ignored = shutil.ignore_patterns(*_NOT_COPIED)
        shutil.copytree(path, target, dirs_exist_ok=True, ignore=ignored)
    return CARRIED
