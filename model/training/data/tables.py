"""Rows of CSV and Parquet files, as text cells with their position in the file."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

PARQUET_SUFFIX = ".parquet"


class TableError(ValueError):
    """A file cannot be read as a table, or lacks a column."""


def column_names(path: Path) -> list[str]:
    """Read the table's column names. Raises TableError."""
    try:
        if path.suffix == PARQUET_SUFFIX:
            return _parquet_names(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file, strict=True), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path} cannot be read: {error}") from error


def rows_of(path: Path) -> Iterator[tuple[str, dict[str, str] | None]]:
    """Yield each row's position, such as `line 2`, and its cells by column name.

    Cells are None for a row of another length than the header; missing values are empty strings.
    Raises TableError.
    """
    try:
        yield from _parquet_rows(path) if path.suffix == PARQUET_SUFFIX else _csv_rows(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path} cannot be read: {error}") from error


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write CSV, or Parquet if the file has that suffix."""
    if path.suffix == PARQUET_SUFFIX:
        from pyarrow import Table, parquet

        cells = {name: [row[at] for row in rows] for at, name in enumerate(columns)}
        parquet.write_table(Table.from_pydict(cells), path)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, str] | None]]:
    # spreadsheets start their UTF-8 files with a byte order mark
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        for cells in reader:
            if cells:
                whole = len(cells) == len(header)
                row = dict(zip(header, cells, strict=True)) if whole else None
                yield f"line {reader.line_num}", row


def _parquet_names(path: Path) -> list[str]:
    # imported only for this format, because the import is slow
    from pyarrow import ArrowInvalid, parquet

    try:
        names: list[str] = parquet.read_schema(path).names
    except ArrowInvalid as error:
        raise TableError(f"{path} cannot be read: {error}") from error
    return names


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    from pyarrow import ArrowInvalid, parquet

    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", {k: "" if v is None else str(v) for k, v in row.items()}
    except ArrowInvalid as error:
        raise TableError(f"{path} cannot be read: {error}") from error
