"""What the store takes and gives: labels, the state of a set, conditions on a write, errors."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from model import KinolexError, Label, LabelIndex, Prototypes, TextEncoder, label_key

DEFAULT_SET = "default"
SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class PrototypeSource(Protocol):
    """The part of a Tagger that the store needs: labels and examples to vectors."""

    @property
    def text_space(self) -> str:
        """Stamp of the text space that the vectors belong to."""
        ...

    @property
    def text(self) -> TextEncoder:
        """The text model, which knows the vectors' length."""
        ...

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        """Each label's vectors."""
        ...

    @property
    def typical_videos(self) -> npt.NDArray[np.float32]:
        """(N, dim) embeddings such as will be searched for; there may be none."""
        ...

    @property
    def video_space(self) -> str:
        """Stamp of the space that embeddings of videos belong to."""
        ...

    def teach(self, prototypes: Prototypes, examples: npt.NDArray[np.float32]) -> Prototypes:
        """A label's vectors moved towards (N, dim) embeddings of videos that show it."""
        ...


class SetNotFound(KinolexError):
    """No label set has this name."""

    code = "label_set_not_found"


class LabelNotFound(KinolexError):
    """The set has no label of this name."""

    code = "label_not_found"


class ExampleNotFound(KinolexError):
    """The label was not taught by this video."""

    code = "example_not_found"


class TooManyExamples(KinolexError):
    """The label would have more examples than allowed."""

    code = "too_many_examples"


class ConditionFailed(KinolexError):
    """The set's revision is not the one that the caller's condition names."""

    code = "revision_mismatch"


class SetFull(KinolexError):
    """The write would take the set over its limit of labels."""

    code = "label_set_full"


class SetProtected(KinolexError):
    """The default set can be emptied, but it cannot be deleted."""

    code = "label_set_protected"


class RevisionNotReached(KinolexError):
    """The set has not come to the revision that the caller waits for."""

    code = "revision_not_reached"


class LabelsNotReady(KinolexError):
    """The labels are still being embedded for this checkpoint's text space."""

    code = "labels_not_ready"


@dataclass(frozen=True, slots=True)
class NewLabel:
    """A label as a caller gives it; `metadata` is theirs, kept and given back."""

    label: Label
    language: str | None = None
    enabled: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What identifies the label in its set. Raises LabelError."""
        return label_key(self.label.name)

    @property
    def text_hash(self) -> str:
        """Digest of everything that the label's prototypes are made from."""
        label = self.label
        texts = [label.name, label.prompts, label.aliases, label.description]
        return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class StoredLabel:
    """A label as the store has it; `revision` is that of the set when it was last written."""

    new: NewLabel
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A video that shows a label: the digest of its bytes and its (dim,) unit embedding."""

    sha256: str
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StoredExample:
    """What is kept of an example besides its vector; `video_space` says which checkpoint's."""

    sha256: str
    video_space: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SetState:
    """A set's name, its revision (grows by one with every write) and its number of labels."""

    name: str
    revision: int
    size: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did; `embedded` are the labels whose vectors had to be made."""

    state: SetState
    created: int = 0
    updated: int = 0
    removed: int = 0
    embedded: tuple[tuple[str, Prototypes], ...] = ()


@dataclass(frozen=True, slots=True)
class Taught:
    """What a change of a label's examples did; `examples` is how many it now has and uses."""

    state: SetState
    added: int
    removed: int
    examples: int


@dataclass(frozen=True, slots=True)
class LabelPage:
    """Labels in the order of their keys; `last_key` continues after them, None at the end."""

    state: SetState
    labels: tuple[StoredLabel, ...]
    last_key: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for a write: one of some revisions, any existing set ("*"), or none yet."""

    revisions: frozenset[int] | Literal["*"] | None = None
    must_be_new: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether every write fits."""
        return self.revisions is None and not self.must_be_new

    def check(self, set_name: str, revision: int | None) -> None:
        """Raises ConditionFailed when a set at `revision` (None: no such set) does not fit."""
        if self.must_be_new and revision is not None:
            raise ConditionFailed(f"label set {set_name!r} exists, at revision {revision}")
        if self.revisions is None or (self.revisions == "*" and revision is not None):
            return
        if revision is None:
            raise ConditionFailed(f"label set {set_name!r} does not exist")
        if revision not in self.revisions:
            raise ConditionFailed(f"label set {set_name!r} is at revision {revision}")


ALWAYS = Condition()


@dataclass(frozen=True, slots=True)
class LabelSnapshot:
    """A set's enabled labels at one revision, ready to be searched. Never changes."""

    set_name: str
    revision: int
    index: LabelIndex
