"""File formats of label sets and their media types."""

from typing import Literal

FileFormat = Literal["ndjson", "csv", "txt"]

MEDIA_TYPES: dict[FileFormat, str] = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "txt": "text/plain",
}
