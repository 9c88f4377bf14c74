"""Labels, label sets and their vectors in SQLite or PostgreSQL.

Other rooms import names from this package only, and use the store through `LabelStore`. `writes`,
`reads`, `changes` and `examples` contain the SQL, `snapshots` the indexes that requests search,
`records` the values.
"""

from app.store.database import StoreMismatch
from app.store.health.check import database_failure
from app.store.health.failures import StoreFull, StoreMoved, StoreReadOnly, StoreUnavailable
from app.store.label_store import LabelStore, everyday_actions
from app.store.put import Report, Stop
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
    SetDeleted,
    SetFull,
    SetNotFound,
    SetProtected,
    SetState,
    StoredExample,
    StoredLabel,
    Taught,
    TooManyExamples,
    WriteStopped,
    Written,
)
from app.store.reembedding import Progress

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
    "SetDeleted",
    "SetFull",
    "SetNotFound",
    "SetProtected",
    "SetState",
    "Stop",
    "StoreFull",
    "StoreMismatch",
    "StoreMoved",
    "StoreReadOnly",
    "StoreUnavailable",
    "StoredExample",
    "StoredLabel",
    "Taught",
    "TooManyExamples",
    "WriteStopped",
    "Written",
    "database_failure",
    "everyday_actions",
]
