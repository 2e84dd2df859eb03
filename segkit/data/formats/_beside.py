"""Tables that lie beside the data: `groups.csv`, and `split.csv` or `train.txt`, `val.txt` and `test.txt`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.data.csv_table import read_columns, read_rows, require_columns
from segkit.data.findings import Finding
from segkit.data.split_files import Named, assign_parts, read_split_file
from segkit.ops.words import counted
from segkit.structures import PARTS, Record


@dataclass(frozen=True)
class Assigned:
    """Records with the splits a file beside them gives, and what to say about it."""

    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def apply_split_files(root: Path, records: Sequence[Record], unused: Sequence[str] = ()) -> Assigned:
    """Fill splits and groups from the files beside the data; without any, records keep the split their folder names.

    Args:
        root: the folder of the data set.
        records: the usable records.
        unused: ids of further images that a split file may name.

    Raises:
        UsageError: `split.csv` is no table of `id,split`, or `groups.csv` none of `id,group`.
    """
    records = _grouped(root / "groups.csv", records)
    table = root / "split.csv"
    if table.is_file():
        return _apply(table.name, read_split_file(table), records, unused)
    if any(record.split for record in records):
        return Assigned(tuple(records))
    named = [(line, part) for part in PARTS for line in _lines(root / f"{part}.txt")]
    # Lists of other things, such as pairs of paths, are no split.
    is_split = bool(named) and not assign_parts(records, named, unused).unknown
    return _apply("train.txt, val.txt, test.txt", named, records, unused) if is_split else Assigned(tuple(records))


def _grouped(table: Path, records: Sequence[Record]) -> Sequence[Record]:
    """The records with the groups of a table; those it does not name keep theirs."""
    if not table.is_file():
        return records
    require_columns(table, read_columns(table), ("id", "group"))
    groups = {row["id"]: row["group"] for row in read_rows(table) if row["group"]}
    turned = {id_.replace("\\", "/"): group for id_, group in groups.items()} | groups  # Windows' slashes
    return [replace(record, group=turned.get(record.id, record.group)) for record in records]


def _apply(source: str, named: Sequence[Named], records: Sequence[Record], unused: Sequence[str]) -> Assigned:
    assigned = assign_parts(records, named, unused)
    moved = sum(old.split not in (None, new.split) for old, new in zip(records, assigned.records, strict=True))
    overrides = f", which overrides the data's own for {counted(moved, 'image')}" if moved else ""
    note = f"splits from {source}{overrides}"
    return Assigned(assigned.records, (note,), tuple(assigned.findings(source, records)))


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]
