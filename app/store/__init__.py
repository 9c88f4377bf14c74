"""Labels, label sets and their vectors in SQLite or PostgreSQL.

`labels` is the store itself; `writes` and `reads` are its statements, `snapshots` the indexes that
requests search, `embedding` the way to vectors, `records` what goes in and out.
"""

from app.store.database import StoreMismatch, StoreUnavailable
from app.store.embedding import Progress, Report
from app.store.labels import LabelStore, everyday_actions
from app.store.records import (
    ALWAYS,
    DEFAULT_SET,
    SET_NAME,
    Condition,
    ConditionFailed,
    Example,
    ExampleNotFound,
    LabelNotFound,
    LabelPage,
    LabelSnapshot,
    LabelsNotReady,
    NewLabel,
    PrototypeSource,
    RevisionNotReached,
    SetFull,
    SetNotFound,
    SetProtected,
    SetState,
    StoredExample,
    StoredLabel,
    Taught,
    TooManyExamples,
    Written,
)

__all__ = [
    "ALWAYS",
    "DEFAULT_SET",
    "SET_NAME",
    "Condition",
    "ConditionFailed",
    "Example",
    "ExampleNotFound",
    "LabelNotFound",
    "LabelPage",
    "LabelSnapshot",
    "LabelStore",
    "LabelsNotReady",
    "NewLabel",
    "Progress",
    "PrototypeSource",
    "Report",
    "RevisionNotReached",
    "SetFull",
    "SetNotFound",
    "SetProtected",
    "SetState",
    "StoreMismatch",
    "StoreUnavailable",
    "StoredExample",
    "StoredLabel",
    "Taught",
    "TooManyExamples",
    "Written",
    "everyday_actions",
]
