"""Label files: JSON lines, CSV, and plain lines of names.

Readers and writers work line by line, so that a whole set is never one string in memory.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from app.labels.fields import LabelFields, LabelInput, fields_of, invalid_labels, json_fault
from app.labels.formats import FileFormat
from app.store import NewLabel

_COLUMNS = tuple(LabelFields.model_fields)
_LISTS = ("prompts", "aliases")
_SEPARATOR = "|"
_ENABLED = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

_label = TypeAdapter[LabelFields](LabelInput)

# a line number, and a function that parses the label
_Record = tuple[int, Callable[[], LabelFields]]


def read_labels(
    lines: Iterable[str], file_format: FileFormat, *, max_labels: int | None = None
) -> list[LabelFields]:
    """Read up to `max_labels` labels from a file. Raises InvalidParameter that lists all faults.

    A fault's pointer counts labels from 0, as in a JSON array; its message has the line number.
    """
    labels: list[LabelFields] = []
    faults: list[tuple[tuple[str | int, ...], str]] = []
    try:
        for position, (line, make) in enumerate(_READERS[file_format](lines)):
            if position == max_labels:
                faults.append((("labels",), f"more than {max_labels} labels"))
                break
            try:
                labels.append(make())
            except ValidationError as error:
                faults += [
                    (("labels", position, *each["loc"]), f"line {line}: {_said(each)}")
                    for each in error.errors(include_url=False, include_context=False)
                ]
    except csv.Error as error:
        faults.append((("labels",), f"not CSV: {error}"))
    except UnicodeDecodeError as error:
        faults.append(
            (("labels",), f"not UTF-8: {error.reason}; save the file with the encoding UTF-8")
        )
    if faults:
        raise invalid_labels(faults)
    return labels


def write_labels(labels: Iterable[NewLabel], file_format: FileFormat) -> Iterator[str]:
    """Yield pieces of a file that `read_labels` can read; `txt` contains only names."""
    if file_format == "txt":
        return (f"{_line_of(new.label.name)}\n" for new in labels)
    if file_format == "ndjson":
        return (f"{json.dumps(_fields(new), ensure_ascii=False)}\n" for new in labels)
    return _csv_rows(labels)


def _line_of(name: str) -> str:
    # behind a space it is a name, which is read without it; # alone begins a comment
    return f" {name}" if name.startswith("#") else name


def _fields(new: NewLabel) -> dict[str, Any]:
    return LabelFields.model_construct(**fields_of(new)).model_dump(exclude_defaults=True)


def _json_lines(lines: Iterable[str]) -> Iterator[_Record]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, partial(_label.validate_json, line.rstrip("\r\n"))


def _names(lines: Iterable[str]) -> Iterator[_Record]:
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            yield number, partial(_label.validate_python, line)


def _said(found: ErrorDetails) -> str:
    if found["type"] != "json_invalid":
        return found["msg"]
    # each line is a text of its own
    return f"not JSON: {json_fault(found)}".replace(" at line 1 column ", " at column ")


def _table(lines: Iterable[str]) -> Iterator[_Record]:
    rest = iter(lines)
    skipped = -1
    for first in rest:
        skipped += 1
        # empty rows, and Excel's own note of the separator
        if first.strip() and not first.lower().startswith("sep="):
            break
    else:
        first, skipped = "", 0
    rows = csv.DictReader(chain([first], rest), delimiter=_separator(first), strict=True)
    rows.fieldnames = columns = _columns(rows.fieldnames or [])
    for row in rows:
        line = rows.line_num + skipped
        if None in row:
            raise csv.Error(
                f"line {line} has {len(columns) + len(row[None])} cells, the first row has "
                f"{len(columns)}; put a cell that contains a separator in double quotes"
            )
        if row.get("", ""):
            raise csv.Error(f"line {line} has {row['']!r:.60} in a column without a name")
        filled = {column: _from_cell(column, cell) for column, cell in row.items() if cell}
        # spreadsheets write empty rows as separators
        if filled:
            yield line, partial(_label.validate_python, filled)


def _separator(first_row: str) -> str:
    """Return the separator with which the first row has a column `name`; a comma if none has."""
    for separator in ",;\t":
        [cells] = csv.reader([first_row], delimiter=separator)
        if any(cell.strip().lower() == "name" for cell in cells):
            return separator
    return ","


def _columns(first_row: Sequence[str]) -> list[str]:
    """Return the names of the columns. Raises csv.Error, with what was found, if they are wrong."""
    columns = [cell.strip().lower() for cell in first_row]
    named = [column for column in columns if column]
    unknown = [cell for cell in first_row if cell.strip().lower() not in (*_COLUMNS, "")]
    allowed = f"the first row must name the columns: name, and any of {', '.join(_COLUMNS[1:])}"
    if "name" not in named:
        raise csv.Error(f"there is no column `name`; found {_listed(first_row)}; {allowed}")
    if unknown:
        raise csv.Error(f"unknown columns: {_listed(unknown)}; {allowed}")
    if len(set(named)) < len(named):
        raise csv.Error(f"the first row names a column twice; found {_listed(first_row)}")
    return columns


def _listed(cells: Sequence[str]) -> str:
    shown = ", ".join(f"`{cell:.40}`" for cell in cells[:10])
    return shown if len(cells) <= 10 else f"{shown} and {len(cells) - 10} more"


def _from_cell(column: str, cell: str) -> object:
    """Parse a cell. Returns the text if it is not valid, which the label's validation rejects."""
    if column == "enabled":
        return _ENABLED.get(cell.strip().lower(), cell)
    if column in _LISTS and not cell.startswith("["):
        return cell.split(_SEPARATOR)
    if column == "threshold":
        # in most of Europe, spreadsheets write 0,5
        cell = cell.replace(",", ".")
    if column in ("threshold", "metadata", *_LISTS):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell


def _csv_rows(labels: Iterable[NewLabel]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for new in labels:
        writer.writerow({key: _to_cell(key, value) for key, value in _fields(new).items()})
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _to_cell(column: str, value: Any) -> str:
    if column in _LISTS:
        is_plain = not any(_SEPARATOR in item for item in value) and value[0][0] != "["
        return _SEPARATOR.join(value) if is_plain else json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_READERS: dict[FileFormat, Callable[[Iterable[str]], Iterator[_Record]]] = {
    "ndjson": _json_lines,
    "csv": _table,
    "txt": _names,
}
