"""Small tables: CSV with commas, semicolons or tabs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

from segkit.errors import UsageError

TABLE_SUFFIXES = (".csv", ".tsv")


def read_columns(path: Path) -> tuple[str, ...]:
    """The column names of a table, lower case; what is no UTF-8 text is read as far as it goes, to recognise tables."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return _columns(file.readline())


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table as column -> text, blank rows left out.

    Raises:
        UsageError: it is no table in UTF-8, or rows have another length than the header.
    """
    lines = _lines(path)
    columns = _columns(lines[0])
    reader = csv.reader(lines[1:], delimiter=_delimiter(lines[0]))
    try:
        rows = [(reader.line_num + 1, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise UsageError(f"cannot read the table {path}, line {reader.line_num + 1}: {error}") from None
    for number, cells in rows:
        if any(cells) and len(cells) != len(columns):
            raise UsageError(
                f"{path}, line {number}: {len(cells)} cells, but {len(columns)} columns: {', '.join(columns)}"
            )
    return [dict(zip(columns, cells, strict=True)) for _, cells in rows if any(cells)]


def require_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    """Raise `UsageError` where a table lacks a column."""
    lacking = [name for name in needed if name not in columns]
    if lacking:
        found = ", ".join(filter(None, columns)) or "none"
        raise UsageError(f"{path} lacks the column {', '.join(lacking)}; it has {found}")


def format_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """The content of a CSV file."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue().encode()


def _lines(path: Path) -> list[str]:
    """The lines of a text file, at least an empty one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the table {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _no_text(path) from None
    if "\0" in text:
        raise _no_text(path)
    return text.splitlines() or [""]


def _no_text(path: Path) -> UsageError:
    return UsageError(f"cannot read the table {path}: it is no UTF-8 text; save it as CSV in UTF-8")


def _columns(header: str) -> tuple[str, ...]:
    """None of a line that is no header at all."""
    try:
        cells = next(csv.reader([header], delimiter=_delimiter(header)))
    except csv.Error:
        return ()
    return tuple(cell.strip().lower() for cell in cells)


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)
