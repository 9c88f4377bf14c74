"""Values and errors of the store: labels, set states, conditions on writes."""

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
    """The part of a Tagger that the store needs: vectors from labels and from examples."""

    @property
    def text_space(self) -> str:
        """Digest of the text space of the vectors."""
        ...

    @property
    def text(self) -> TextEncoder:
        """The text model, whose vectors may be shorter than labels' vectors."""
        ...

    @property
    def dim(self) -> int:
        """Length of labels' vectors."""
        ...

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        """Return each label's vectors. Raises LabelError."""
        ...

    @property
    def typical_videos(self) -> npt.NDArray[np.float32]:
        """(N, dim) float32 typical video embeddings, as long as labels' vectors; N may be 0."""
        ...

    @property
    def video_space(self) -> str:
        """Digest of the space of video embeddings."""
        ...

    def teach(self, prototypes: Prototypes, examples: npt.NDArray[np.float32]) -> Prototypes:
        """Return a label's vectors, moved towards (N, dim) embeddings of example videos."""
        ...


class SetNotFound(KinolexError):
    """No label set has this name."""

    code = "label_set_not_found"


class LabelNotFound(KinolexError):
    """The set has no label of this name."""

    code = "label_not_found"


class ExampleNotFound(KinolexError):
    """The label has no example with this digest."""

    code = "example_not_found"


class TooManyExamples(KinolexError):
    """The label would have more examples than allowed."""

    code = "too_many_examples"


class ConditionFailed(KinolexError):
    """The set's revision does not fit the condition of the write."""

    code = "revision_mismatch"


class SetFull(KinolexError):
    """The write would exceed the set's maximum number of labels."""

    code = "label_set_full"


class SetProtected(KinolexError):
    """The default set can be emptied, but it cannot be deleted."""

    code = "label_set_protected"


class SetDeleted(KinolexError):
    """The set was deleted while the labels of this write were being embedded."""

    code = "label_set_deleted"


class WriteStopped(Exception):
    """The writer asked the write to stop; nothing was stored."""


class RevisionNotReached(KinolexError):
    """The set has not reached the requested minimum revision."""

    code = "revision_not_reached"


class LabelsNotReady(KinolexError):
    """The labels are still being embedded for this checkpoint's text space."""

    code = "labels_not_ready"


@dataclass(frozen=True, slots=True)
class NewLabel:
    """A label to store; `metadata` is the client's, stored and returned unchanged."""

    label: Label
    language: str | None = None
    enabled: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key that identifies the label in its set. Raises LabelError."""
        return label_key(self.label.name)

    @property
    def text_hash(self) -> str:
        """Digest of all texts that the label's prototypes are computed from."""
        label = self.label
        texts = [label.name, label.prompts, label.aliases, label.description]
        return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class StoredLabel:
    """A stored label; `revision` is the set's revision at the label's last write."""

    new: NewLabel
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An example video of a label: SHA-256 of its bytes, and its (dim,) float32 unit embedding."""

    sha256: str
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StoredExample:
    """A stored example without its vector; `video_space` identifies the checkpoint."""

    sha256: str
    video_space: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SetState:
    """A set's name, revision (incremented by every write) and number of labels."""

    name: str
    revision: int
    size: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class FoundSet:
    """A set as a write finds it at its start; `created_at` is None if there is no such set."""

    revision: int
    created_at: datetime | None

    def check(self, name: str, revision: int, created_at: datetime | None) -> None:
        """Raise SetDeleted if a set now in this state was deleted since this one was found."""
        is_gone = created_at is None and revision > self.revision
        is_another = None not in (created_at, self.created_at) and created_at != self.created_at
        if is_gone or is_another:
            raise SetDeleted(f"label set {name!r} was deleted while this write was in progress")


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a write; `embedded` has the names and new vectors of labels."""

    state: SetState
    created: int = 0
    updated: int = 0
    removed: int = 0
    embedded: tuple[tuple[str, Prototypes], ...] = ()


@dataclass(frozen=True, slots=True)
class Taught:
    """The result of a write to a label's examples; `examples` is the number in use afterwards."""

    state: SetState
    added: int
    removed: int
    examples: int


@dataclass(frozen=True, slots=True)
class LabelPage:
    """Labels sorted by key; the next page starts after `last_key`, None on the last page."""

    state: SetState
    labels: tuple[StoredLabel, ...]
    last_key: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a write: the set is at a revision, exists ("*"), or does not exist."""

    revisions: frozenset[int] | Literal["*"] | None = None
    must_be_new: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the condition allows every write."""
        return self.revisions is None and not self.must_be_new

    def check(self, set_name: str, revision: int | None) -> None:
        """Raise ConditionFailed unless a set at `revision` (None: no such set) is allowed."""
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
