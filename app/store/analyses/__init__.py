"""Kept analyses of videos in the label database: embeddings and times, no pixels.

Other rooms import names from this package only, and use it through `AnalysisStore`. `rows` converts
analyses to columns, `reads` and `writes` contain the SQL, `records` the values.
"""

from app.store.analyses.analysis_store import AnalysisStore
from app.store.analyses.records import (
    ArchiveChanges,
    ArchiveState,
    KeptVideo,
    KeptWindows,
    VideoFilter,
    VideoNotFound,
)
from app.store.analyses.rows import AnalysisColumns, analysis_of, columns_of, unpack_windows

__all__ = [
    "AnalysisColumns",
    "AnalysisStore",
    "ArchiveChanges",
    "ArchiveState",
    "KeptVideo",
    "KeptWindows",
    "VideoFilter",
    "VideoNotFound",
    "analysis_of",
    "columns_of",
    "unpack_windows",
]
