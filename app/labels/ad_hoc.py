"""Labels that a request names without storing them; their vectors are cached."""

from collections.abc import Sequence
from threading import Lock

from cachetools import LRUCache

from model import Label, LabelIndex, Prototypes, Tagger, clean_name, label_key

# About 16 MB: 384 float32 values per label.
_MAX_CACHED = 10_000


class AdHocLabels:
    """Builds indexes of labels that are sent with a request; thread-safe.

    Blocks on the text model. Caches the vectors of recent labels: clients tag many videos with the
    same labels, and embedding a hundred labels takes longer than analysing a video.
    """

    def __init__(self, tagger: Tagger, *, max_cached: int = _MAX_CACHED) -> None:
        self._tagger = tagger
        self._cached: LRUCache[str, Prototypes] = LRUCache(max_cached)
        self._lock = Lock()

    def prototypes(self, name: str) -> Prototypes:
        """Return the vectors of one name. Raises LabelError."""
        return self._prototypes([Label(clean_name(name))])[clean_name(name)]

    def index(self, names: Sequence[str]) -> LabelIndex:
        """Return an index of these names, the first of each key. Raises LabelError."""
        labels = {clean_name(name): Label(clean_name(name)) for name in names}
        first_spellings = {label_key(name): name for name in reversed(labels)}
        wanted = [name for name in labels if first_spellings[label_key(name)] == name]
        found = self._prototypes([labels[name] for name in wanted])
        return LabelIndex.build([(name, found[name]) for name in wanted], self._tagger.encoder.dim)

    def _prototypes(self, labels: Sequence[Label]) -> dict[str, Prototypes]:
        names = [label.name for label in labels]
        with self._lock:
            found = {name: self._cached[name] for name in names if name in self._cached}
        missing = [label for label in labels if label.name not in found]
        if missing:
            made = self._tagger.prototypes(missing)
            embedded = {label.name: each for label, each in zip(missing, made, strict=True)}
            found |= embedded
            with self._lock:
                self._cached.update(embedded)
        return found
