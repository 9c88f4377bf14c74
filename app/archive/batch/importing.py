"""Puts the analyses of an archive into the database of a service."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from app.archive.batch.folder import ArchiveFolder
from app.archive.batch.rows import analyses_in
from app.labels.metadata import Metadata
from app.store.analyses import AnalysisStore

# Analyses per transaction: a few megabytes, for which other writers wait milliseconds.
_PER_WRITE = 256
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """Numbers of analyses that were stored, that were there, and of videos without an analysis."""

    stored: int
    known: int
    failed: int


def import_archive(folder: ArchiveFolder, store: AnalysisStore, report: Report) -> Imported:
    """Store the analyses that the database lacks, with the path of a file as their metadata.

    An import that was interrupted continues. No alert is raised: an archive is not news. `report`
    is called with the numbers of files that were read, and of all. Raises StoreUnavailable.
    """
    groups = folder.groups()
    stored = known = failed = 0
    for done, rows in enumerate(folder.tables(), start=1):
        metadata = _metadata_of(folder, rows)
        for some in _parts(rows):
            analyses = analyses_in(some)
            new = store.keep_new([(each, metadata.get(each.sha256, {})) for each in analyses])
            stored += new
            known += len(analyses) - new
            failed += len(some) - len(analyses)
        report(done, len(groups))
    return Imported(stored, known, failed)


def _parts(rows: pa.Table) -> Iterator[pa.Table]:
    return (rows.slice(at, _PER_WRITE) for at in range(0, len(rows), _PER_WRITE))


def _metadata_of(folder: ArchiveFolder, rows: pa.Table) -> Mapping[str, Mapping[str, str]]:
    """Return the metadata of videos by SHA-256; a path that metadata cannot hold is left out."""
    found: dict[str, Mapping[str, str]] = {}
    for sha256, path in folder.paths_of(rows["sha256"].to_pylist()).items():
        try:
            found[sha256] = _METADATA.validate_python({"path": path})
        except ValidationError:
            continue
    return found


_METADATA: TypeAdapter[dict[str, str]] = TypeAdapter(Metadata)
