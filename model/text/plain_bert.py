"""BERT sentence models computed with torch alone, without transformers and sentence-transformers.

The two libraries take five seconds and 400 MB to import. See
`docs/decisions/0062-bert-sentence-models-run-on-torch-alone.md`.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from model.text.pretrained import WEIGHTS

# sentence-transformers' batch size
_BATCH = 32
_MODULES = ("Transformer", "Pooling", "Normalize")
# What `forward` computes; a configuration with other values is left to the libraries.
_COMPUTED: Mapping[str, object] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
_TOKENIZERS = ("BertTokenizer", "BertTokenizerFast")
# Settings that transformers takes from tokenizer_config.json, and their names in tokenizer.json.
_NORMALISER = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


class PlainBert:
    """BERT with mean pooling and unit vectors, on one device.

    `tensors` are the weights by the names of transformers, `config` is the model's config.json.
    """

    def __init__(
        self, tokenizer: Tokenizer, tensors: Mapping[str, Tensor], config: Mapping[str, Any]
    ) -> None:
        self._tokenizer = tokenizer
        self._tensors = tensors
        self._heads = int(config["num_attention_heads"])
        self._layers = int(config["num_hidden_layers"])
        self._epsilon = float(config["layer_norm_eps"])
        self._words = tensors["embeddings.word_embeddings.weight"]
        self._device = self._words.device

    @classmethod
    def find(cls, folder: Path, device: str = "cpu") -> Self | None:
        """Load the model in a sentence-transformers folder; None where it is of another kind.

        The weights stay in the mapped file on a CPU. Raises OSError and ValueError for files that
        are damaged.
        """
        config = _supported_config(folder)
        if config is None:
            return None
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # the file's own are for batches of a fixed length
        tokenizer.enable_truncation(_max_tokens(folder, config))
        tokenizer.enable_padding(pad_id=int(config.get("pad_token_id") or 0))
        try:
            tensors = load_file(folder / WEIGHTS, device=device)
        except SafetensorError as error:
            raise ValueError(f"{folder / WEIGHTS}: {error}") from error
        floats = {name: each.float() for name, each in tensors.items() if each.is_floating_point()}
        for name, shape in _shapes(config):
            if name not in floats or tuple(floats[name].shape) != shape:
                raise ValueError(f"{folder}: the weights do not fit config.json at {name}")
        return cls(tokenizer, floats, config)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._words.shape[1]

    @property
    def is_on_cpu(self) -> bool:
        """Whether texts are encoded on the CPU."""
        return self._device.type == "cpu"

    @property
    def vocabulary(self) -> Iterable[str]:
        """All tokens."""
        return self._tokenizer.get_vocab()

    @property
    def unknown_token(self) -> str:
        """The token of what the vocabulary does not know."""
        return str(self._tokenizer.model.unk_token)

    def pieces(self, word: str) -> list[str]:
        """Return the tokens of a word."""
        return list(self._tokenizer.encode(word, add_special_tokens=False).tokens)

    def digest(self) -> str:
        """Return the SHA-256 of the weights, for a folder without a file of them."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._tensors.items()):
            digest.update(name.encode())
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors, in batches of texts of similar length.

        Threads may call it at the same time.
        """
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            vectors[rows] = self._vectors([texts[index] for index in rows]).cpu().numpy()
        return vectors

    @torch.inference_mode()
    def _vectors(self, texts: Sequence[str]) -> Tensor:
        encoded = self._tokenizer.encode_batch(list(texts))
        tokens = torch.tensor([each.ids for each in encoded], device=self._device)
        mask = torch.tensor([each.attention_mask for each in encoded], device=self._device)
        states = self._states(tokens, mask.bool()[:, None, None])
        weights = mask[..., None].float()
        return functional.normalize((states * weights).sum(1) / weights.sum(1).clamp(min=1e-9))

    def _states(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Compute the last states of (B, L) tokens: (B, L, dim)."""
        positions = self._tensors["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        kind = self._tensors["embeddings.token_type_embeddings.weight"][0]
        states = self._normalised(self._words[tokens] + kind + positions, "embeddings.LayerNorm")
        for number in range(self._layers):
            layer = f"encoder.layer.{number}"
            mixed = self._attention(states, mask, f"{layer}.attention")
            wide = functional.gelu(self._linear(mixed, f"{layer}.intermediate.dense"))
            narrow = self._linear(wide, f"{layer}.output.dense")
            states = self._normalised(narrow + mixed, f"{layer}.output.LayerNorm")
        return states

    def _attention(self, states: Tensor, mask: Tensor, name: str) -> Tensor:
        count, length, _ = states.shape
        query, key, value = (
            self._linear(states, f"{name}.self.{part}")
            .view(count, length, self._heads, -1)
            .transpose(1, 2)
            for part in ("query", "key", "value")
        )
        found = functional.scaled_dot_product_attention(query, key, value, mask)
        mixed = self._linear(found.transpose(1, 2).flatten(2), f"{name}.output.dense")
        return self._normalised(mixed + states, f"{name}.output.LayerNorm")

    def _linear(self, states: Tensor, name: str) -> Tensor:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return functional.linear(states, weight, bias)

    def _normalised(self, states: Tensor, name: str) -> Tensor:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return functional.layer_norm(states, weight.shape, weight, bias, self._epsilon)


def _supported_config(folder: Path) -> dict[str, Any] | None:
    """Return config.json if this module computes what all of the folder's files describe."""
    config = _document(folder / "config.json")
    modules = _document(folder / "modules.json")
    pooling = _document(folder / "1_Pooling" / "config.json")
    reading = _document(folder / "sentence_bert_config.json")
    tokenizer = _document(folder / "tokenizer_config.json")
    prompts = _document(folder / "config_sentence_transformers.json") or {}
    normaliser: Any = (_document(folder / "tokenizer.json") or {}).get("normalizer")
    documents = (config, modules, pooling, reading, tokenizer, normaliser)
    if not all(documents) or not (folder / WEIGHTS).is_file():
        return None
    modes = {
        name for name, is_used in pooling.items() if name.startswith("pooling_mode") and is_used
    }
    is_supported = (
        all(config.get(name, value) == value for name, value in _COMPUTED.items())
        and tuple(each["type"].rpartition(".")[2] for each in modules) == _MODULES
        and modes in ({"pooling_mode_mean_tokens"}, {"pooling_mode"})
        and pooling.get("pooling_mode", "mean") == "mean"
        and not reading.get("do_lower_case")
        and not prompts.get("default_prompt_name")
        and tokenizer.get("tokenizer_class") in _TOKENIZERS
        and normaliser.get("type") == "BertNormalizer"
        and all(
            tokenizer.get(ours, normaliser.get(theirs)) == normaliser.get(theirs)
            for ours, theirs in _NORMALISER.items()
        )
    )
    return config if is_supported else None


def _shapes(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and the shape of each weight."""
    dim, wide = config["hidden_size"], config["intermediate_size"]
    rows = ("vocab_size", "max_position_embeddings", "type_vocab_size")
    for kind, row in zip(("word", "position", "token_type"), rows, strict=True):
        yield f"embeddings.{kind}_embeddings.weight", (config[row], dim)
    inner = [f"attention.self.{part}" for part in ("query", "key", "value")]
    linear = dict.fromkeys([*inner, "attention.output.dense"], (dim, dim))
    linear |= {"intermediate.dense": (wide, dim), "output.dense": (dim, wide)}
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{number}" for number in range(config["num_hidden_layers"])):
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for name, shape in linear.items():
            yield f"{layer}.{name}.weight", shape
            yield f"{layer}.{name}.bias", shape[:1]
    for name in norms:
        yield f"{name}.weight", (dim,)
        yield f"{name}.bias", (dim,)


def _max_tokens(folder: Path, config: Mapping[str, Any]) -> int:
    """Return the maximum number of tokens of a text; further ones are cut off."""
    documents = _document(folder / "sentence_bert_config.json")
    asked = documents.get("max_seq_length") or math.inf
    return int(min(asked, config["max_position_embeddings"]))


def _document(path: Path) -> Any:
    """Return a JSON file's content, None where it is missing."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
