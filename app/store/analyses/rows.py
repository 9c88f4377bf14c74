"""Converts analyses to columns and back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Row

from app.question import Analysis, EmbeddedVideo, EmbeddedWindows, KeptChunks, Timestamps
from app.store.analyses.records import KeptVideo
from app.store.analyses.tables import AnalysisRow, AnalysisVectorsRow
from model import VideoInfo, Window, WindowPlan

# little-endian on every machine that shares the database
_FLOAT16, _FLOAT32, _FLOAT64 = np.dtype("<f2"), np.dtype("<f4"), np.dtype("<f8")

FACT_COLUMNS = (
    AnalysisRow.id,
    AnalysisRow.sha256,
    AnalysisRow.video_space,
    AnalysisRow.model_id,
    AnalysisRow.kept_at,
    AnalysisRow.label_set,
    AnalysisRow.extra,
    AnalysisRow.details,
    AnalysisRow.window_count,
    AnalysisRow.size_bytes,
)
ALL_COLUMNS = (
    *FACT_COLUMNS,
    AnalysisVectorsRow.frames,
    AnalysisVectorsRow.spans,
    AnalysisVectorsRow.windows,
    AnalysisVectorsRow.whole,
)


@dataclass(frozen=True, slots=True)
class AnalysisColumns:
    """What is stored of an analysis: the columns of the tables that have the same names."""

    sha256: str
    model_id: str
    video_space: str
    details: Mapping[str, Any]
    window_count: int
    frames: Mapping[str, Any]
    spans: bytes
    windows: bytes
    whole: bytes


def columns_of(analysis: Analysis) -> AnalysisColumns:
    """Return an analysis's columns."""
    facts = fact_values(analysis, None, {})
    names = ("sha256", "model_id", "video_space", "details", "window_count")
    return AnalysisColumns(**{name: facts[name] for name in names}, **vectors_values(analysis))


def vectors_values(analysis: Analysis) -> dict[str, Any]:
    """Return the columns of an analysis's arrays except its id."""
    whole, windows = analysis.whole, analysis.windows
    return {
        "frames": {
            "window_warnings": windows.warnings,
            "window_timestamps": asdict(windows.timestamps),
            "whole_warnings": whole.warnings,
            "whole_timestamps": asdict(whole.timestamps),
        },
        "spans": _spans(windows.plan).astype(_FLOAT64).tobytes(),
        "windows": windows.embeddings.astype(_FLOAT16).tobytes(),
        "whole": whole.embedding.astype(_FLOAT16).tobytes(),
    }


def chunks_values(analysis: Analysis) -> dict[str, bytes]:
    """Return the columns of an analysis's chunks except its id; empty if it has none."""
    chunks = analysis.windows.chunks
    if chunks is None:
        return {}
    return {
        "centres": chunks.centres_seconds.astype(_FLOAT64).tobytes(),
        "scales": chunks.scales.astype(_FLOAT32).tobytes(),
        "features": chunks.features.tobytes(),
    }


def kept_chunks(row: Row[Any]) -> KeptChunks:
    """Return the chunks from a row with the columns of `chunks_values`."""
    centres = np.frombuffer(row.centres, _FLOAT64).astype(np.float64)
    features = np.frombuffer(row.features, np.int8).reshape(len(centres), -1)
    return KeptChunks(centres, features, np.frombuffer(row.scales, _FLOAT32).astype(np.float32))


def fact_values(
    analysis: Analysis, label_set: str | None, metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Return an analysis's columns except its arrays, id, revision, time and size."""
    plan = analysis.windows.plan
    return {
        "sha256": analysis.sha256,
        "video_space": analysis.video_space,
        "model_id": analysis.model_id,
        "duration": analysis.video.duration_seconds,
        "label_set": label_set,
        "metadata": dict(metadata),
        "details": {
            "video": asdict(analysis.video),
            "decode": analysis.decode,
            "window_seconds": plan.window_seconds,
            "stride_seconds": plan.stride_seconds,
            "plan_warnings": plan.warnings,
        },
        "window_count": plan.count,
    }


def analysis_of(row: Row[Any] | AnalysisColumns) -> Analysis:
    """Return the analysis from a row of ALL_COLUMNS, or from its columns."""
    details, frames = row.details, row.frames
    spans = np.frombuffer(row.spans, _FLOAT64).reshape(-1, 2).tolist()
    plan = WindowPlan(
        tuple(Window(start, end) for start, end in spans),
        details["window_seconds"],
        details["stride_seconds"],
        tuple(details["plan_warnings"]),
    )
    return Analysis(
        row.sha256,
        row.model_id,
        row.video_space,
        details["decode"],
        EmbeddedVideo(
            _video(details),
            tuple(frames["whole_warnings"]),
            unpack_windows(row.whole, 1)[0],
            _timestamps(frames["whole_timestamps"]),
        ),
        EmbeddedWindows(
            plan,
            tuple(frames["window_warnings"]),
            unpack_windows(row.windows, row.window_count),
            _timestamps(frames["window_timestamps"]),
        ),
    )


def kept_video(row: Row[Any]) -> KeptVideo:
    """Return the facts from a row of FACT_COLUMNS."""
    return KeptVideo(
        id=row.id,
        sha256=row.sha256,
        video=_video(row.details),
        model_id=row.model_id,
        video_space=row.video_space,
        kept_at=row.kept_at,
        label_set=row.label_set,
        metadata=row.metadata,
        window_count=row.window_count,
        window_seconds=row.details["window_seconds"],
        stride_seconds=row.details["stride_seconds"],
        size_bytes=row.size_bytes,
    )


def unpack_windows(column: bytes, rows: int) -> npt.NDArray[np.float32]:
    """Return a column's embeddings as (rows, dim) float32."""
    return np.frombuffer(column, _FLOAT16).reshape(rows, -1).astype(np.float32)


def _spans(plan: WindowPlan) -> npt.NDArray[np.float64]:
    return np.array([(each.start_seconds, each.end_seconds) for each in plan.windows])


def _video(details: Mapping[str, Any]) -> VideoInfo:
    facts = details["video"]
    return VideoInfo(**{**facts, "warnings": tuple(facts["warnings"])})


def _timestamps(values: Mapping[str, Any]) -> Timestamps:
    return Timestamps(**{**values, "seconds": tuple(values["seconds"])})
