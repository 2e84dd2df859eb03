"""Folders of results: known by a table that is written first, so that nothing of anybody else is ever replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.data.csv_table import format_table
from segkit.errors import UsageError
from segkit.ops.files import make_folder, write_atomically

ERRORS = "errors.csv"
"""What could not be predicted, and why; only where there is something."""


def refuse_to_overwrite(files: Sequence[Path], targets: Iterable[Path]) -> None:
    """Raise `UsageError` where a result would take the place of an input."""
    inputs = {file.resolve() for file in files}
    clash = next((target for target in targets if target.resolve() in inputs), None)
    if clash is not None:
        raise UsageError(f"{clash} is one of the images and would be overwritten; name another folder with -o")


def claim(
    out: Path, command: str, mark: str, columns: Sequence[str], names: Sequence[str], others: Iterable[Path] = ()
) -> None:
    """Make the folder of results and in it the table by which they are known, or take up one of earlier results.

    Args:
        out: the folder.
        command: that writes into it, for people.
        mark: name of the table.
        columns: that it begins with.
        names: of everything else that may be written.
        others: such tables of further processes that write into the folder; looked for last, since each of them makes
            its table before any result.

    Raises:
        UsageError: the folder holds such names of somebody else; a data set's own masks would be replaced.
        OutputError: the folder cannot be made.
    """
    if _begins_with(out / mark, columns):
        return
    taken = [name for name in (mark, *names, ERRORS) if (out / name).exists()]
    if taken and (taken[0] == mark or not any(_begins_with(table, columns) for table in others)):
        raise UsageError(f"{out / taken[0]} exists and is no result of {command}; name another folder with -o")
    write_table(make_folder(out) / mark, columns, ())


def _begins_with(table: Path, columns: Sequence[str]) -> bool:
    return table.is_file() and table.read_bytes().startswith(",".join(columns).encode())


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, with the columns that they have, or `columns` where there is no row; raises `OutputError`."""
    found = list(dict.fromkeys(column for row in rows for column in row)) or columns
    write_atomically(path, format_table(found, [[row.get(column) for column in found] for row in rows]))


def write_errors(out: Path, errors: Mapping[Path, str], name: str = ERRORS) -> None:
    """Write `errors.csv`, or remove that of an earlier run into the same folder where there is no error."""
    if errors:
        write_table(out / name, (), [{"image": file, "error": error} for file, error in errors.items()])
    else:
        (out / name).unlink(missing_ok=True)
