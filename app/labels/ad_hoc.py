"""Labels that come with a request and are not stored; their vectors are remembered for a while."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from model import Label, LabelIndex, Prototypes, Tagger, clean_name, label_key

# 384 floats a text: some 16 MB
_REMEMBERED = 10_000


class AdHocLabels:
    """Indexes of labels that a caller names in passing. Blocks on the text model; thread-safe.

    An archive is tagged with the same labels again and again, and embedding a hundred of them
    takes longer than looking at a video.
    """

    def __init__(self, tagger: Tagger, *, remembered: int = _REMEMBERED) -> None:
        self._tagger = tagger
        self._remembered = remembered
        self._prototypes: OrderedDict[str, Prototypes] = OrderedDict()
        self._lock = Lock()

    def index(self, names: Sequence[str]) -> LabelIndex:
        """An index of these names, each once. Raises LabelError."""
        labels = {clean_name(name): Label(clean_name(name)) for name in names}
        first_spellings = {label_key(name): name for name in reversed(labels)}
        wanted = [name for name in labels if first_spellings[label_key(name)] == name]
        found = self._remembered_of(wanted)
        missing = [labels[name] for name in wanted if name not in found]
        if missing:
            made = self._tagger.prototypes(missing)
            found |= {label.name: p for label, p in zip(missing, made, strict=True)}
            self._remember(found)
        return LabelIndex.build([(name, found[name]) for name in wanted], self._tagger.encoder.dim)

    def _remembered_of(self, names: Sequence[str]) -> dict[str, Prototypes]:
        with self._lock:
            found = {name: self._prototypes[name] for name in names if name in self._prototypes}
            for name in found:
                self._prototypes.move_to_end(name)
        return found

    def _remember(self, prototypes: dict[str, Prototypes]) -> None:
        with self._lock:
            self._prototypes |= prototypes
            while len(self._prototypes) > self._remembered:
                self._prototypes.popitem(last=False)
