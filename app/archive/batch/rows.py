"""The rows of an archive: of its videos and of its files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from app.question import Analysis
from app.store.analyses import AnalysisColumns, analysis_of, columns_of

# One row for each video. `code` is empty for an analysis, else that of the error; the binary
# columns are those of the database (app/store/analyses/tables.py).
ANALYSES = pa.schema(
    [
        ("sha256", pa.string()),
        ("code", pa.string()),
        ("detail", pa.string()),
        ("model_id", pa.string()),
        ("video_space", pa.string()),
        ("duration", pa.float64()),
        ("window_count", pa.int32()),
        # JSON
        ("details", pa.string()),
        ("frames", pa.string()),
        # little-endian: (window_count, 2) float64, (window_count, dim) float16, (dim,) float16
        ("spans", pa.binary()),
        ("windows", pa.binary()),
        ("whole", pa.binary()),
    ]
)
# One row for each file. `again`: the error is not the video's, the next run tries the file again.
FILES = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("modified", pa.timestamp("us", "UTC")),
        # empty where the file could not be read
        ("sha256", pa.string()),
        ("code", pa.string()),
        ("detail", pa.string()),
        ("again", pa.bool_()),
    ]
)


def row_of_analysis(analysis: Analysis) -> pa.Table:
    """Return the row of a video that was analysed."""
    columns = columns_of(analysis)
    return _one_row(
        ANALYSES,
        {
            "sha256": columns.sha256,
            "code": "",
            "detail": "",
            "model_id": columns.model_id,
            "video_space": columns.video_space,
            "duration": analysis.video.duration_seconds,
            "window_count": columns.window_count,
            "details": json.dumps(columns.details, sort_keys=True),
            "frames": json.dumps(columns.frames, sort_keys=True),
            "spans": columns.spans,
            "windows": columns.windows,
            "whole": columns.whole,
        },
    )


def row_of_error(sha256: str, code: str, detail: str, options: Mapping[str, Any]) -> pa.Table:
    """Return the row of a video that cannot be analysed."""
    texts = {"sha256": sha256, "code": code, "detail": detail}
    made_by = {name: options[name] for name in ("model_id", "video_space")}
    return _one_row(ANALYSES, {**texts, **made_by})


def analyses_in(rows: pa.Table, places: Sequence[int] | None = None) -> list[Analysis]:
    """Return the analyses of rows of ANALYSES, or of those at `places`; errors are left out."""
    chosen = rows if places is None else rows.take(places)
    return [_analysis(row) for row in chosen.to_pylist() if not row["code"]]


def _analysis(row: Mapping[str, Any]) -> Analysis:
    plain = ("sha256", "model_id", "video_space", "window_count", "spans", "windows", "whole")
    return analysis_of(
        AnalysisColumns(
            **{name: row[name] for name in plain},
            details=json.loads(row["details"]),
            frames=json.loads(row["frames"]),
        )
    )


def _one_row(schema: pa.Schema, values: Mapping[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([dict(values)], schema=schema)
