"""Where a checkpoint's text model is, and what kind it is."""

import shutil
from pathlib import Path

from model.errors import CheckpointError
from model.text.labels import SentenceTextEncoder, TextEncoder
from model.text.tower import TextTower, tower_type
from model.text.word_vectors import WordVectorEncoder, is_word_vectors

TEXT_FOLDER = "text"
# a sentence-transformers folder may hold the same weights pickled and for other runtimes
_LEFT_BEHIND = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.xml")
# what config.json says of a text model that lies in the checkpoint's own folder
CARRIED = f"./{TEXT_FOLDER}"


def load_text_encoder(
    name_or_path: str, *, checkpoint: Path | None = None, device: str = "cpu"
) -> TextEncoder:
    """The text model of that name: a sentence-transformers model by name or folder, a text tower's
    folder, a file or folder of word vectors, or `./text`, which is inside `checkpoint`.

    Raises CheckpointError when it cannot be loaded.
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
    """Take a text model that lies on this computer into a checkpoint's folder.

    The answer is what the checkpoint's configuration should call it: a model that is known by
    name keeps it.
    """
    path, target = Path(name_or_path), directory / TEXT_FOLDER
    if not path.exists():
        return name_or_path
    if isinstance(text, WordVectorEncoder):
        text.save(target)
    elif path.resolve() != target.resolve():
        left_behind = shutil.ignore_patterns(*_LEFT_BEHIND)
        shutil.copytree(path, target, dirs_exist_ok=True, ignore=left_behind)
    return CARRIED
