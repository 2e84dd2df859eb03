"""Which images train, validate and test: the data set's own parts, a split file, or a cut by content.

A cut depends on nothing but the seed, the ids, the groups and the classes present: not on the order of files, the
machine or the time. Images of one group stay together, and every part gets its share of every class.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.data.config import DataConfig
from segkit.data.findings import Finding
from segkit.data.rules import finding
from segkit.data.split_files import Named, assign_parts, read_split_file
from segkit.data.stratify import stratify
from segkit.errors import UsageError, nearest
from segkit.ops.words import counted
from segkit.structures import PARTS, Record

DEFAULT_SHARES = (0.70, 0.15, 0.15)

Shares = tuple[float, float, float]


@dataclass(frozen=True)
class Split:
    """The records with their parts, and how it came to them.

    Attributes:
        records: every record, `split` one of `PARTS`, or None where it belongs to no part.
        origin: where the parts come from, said aloud, for example `"70/15/15, cut by content with seed 0"`.
        findings: records in no part, or too few units to cut.
    """

    records: tuple[Record, ...]
    origin: str
    findings: tuple[Finding, ...] = ()


def split_records(
    records: Sequence[Record],
    presence: Mapping[str, frozenset[int]],
    config: DataConfig,
    unused: Collection[str] = (),
) -> Split:
    """Fill the `split` of every record.

    A split file comes first, then the shares asked for, then the data set's own parts (those it lacks are cut from its
    training part, those it has stay), else 70/15/15.

    Args:
        records: with their groups filled, see `group_records`.
        presence: id -> what of that image every part gets its share of, see `strata`; an id may lack.
        config: `split` and `seed` are used.
        unused: ids of images that are there but cannot be used; a split file may name them.

    Raises:
        UsageError: the split file cannot be used, or the shares cannot.
    """
    if isinstance(config.split, Path):
        return _named(records, read_split_file(config.split), config.split, unused)
    if config.split is None and any(record.split for record in records):
        return _completed(records, presence, config.seed)
    return _cut_all(records, presence, _checked(config.split or DEFAULT_SHARES), config.seed)


def group_records(records: Sequence[Record], group_by: str | None) -> tuple[Record, ...]:
    """Fill the `group` of every record from a column of the table, else by a regular expression on the id.

    Args:
        records: as listed.
        group_by: the column's name; where there is no such column, an expression whose first group is searched in the
            ids. None leaves the groups as they are.

    Raises:
        UsageError: neither a column nor an expression with a group, or records without a group.
    """
    if group_by is None:
        return tuple(records)
    columns = tuple(dict.fromkeys(column for record in records for column in record.columns))
    column = group_by.strip().lower()
    groups = _cells(records, column, "--group-by") if column in columns else _matches(records, group_by, columns)
    return tuple(replace(record, group=group) for record, group in zip(records, groups, strict=True))


def strata(
    records: Sequence[Record], presence: Mapping[str, frozenset[int]], stratify_by: str | None
) -> Mapping[str, frozenset[int]]:
    """What of each image every part gets its share of: the classes present, or the value of a table's column.

    Args:
        records: as listed.
        presence: id -> classes present in that image.
        stratify_by: the column's name; None: the classes.

    Raises:
        UsageError: there is no such column, or it has empty cells.
    """
    if stratify_by is None:
        return presence
    columns = tuple(dict.fromkeys(column for record in records for column in record.columns))
    column = stratify_by.strip().lower()
    if column not in columns:
        known = f"the table's columns are {', '.join(columns)}" if columns else "the data is no table"
        raise UsageError(f"--stratify {stratify_by}: no such column, {known}.{nearest(column, columns)}")
    cells = _cells(records, column, "--stratify")
    numbers = {cell: number for number, cell in enumerate(sorted(set(cells)))}
    return {record.id: frozenset({numbers[cell]}) for record, cell in zip(records, cells, strict=True)}


def _cells(records: Sequence[Record], column: str, option: str) -> list[str]:
    empty = [record.id for record in records if not record.columns.get(column)]
    if empty:
        raise UsageError(
            f"{option} {column}: the column is empty for {len(empty)} of {counted(len(records), 'image')}, "
            f"for example {empty[0]!r}; fill it for every image"
        )
    return [record.columns[column] for record in records]


def _matches(records: Sequence[Record], group_by: str, columns: Sequence[str]) -> list[str]:
    expression = _expression(group_by, columns)
    found = [match[1] if (match := expression.search(record.id)) else None for record in records]
    without = [record.id for record, group in zip(records, found, strict=True) if not group]
    if without:
        raise UsageError(
            f"--group-by {group_by!r} finds nothing in {len(without)} of {counted(len(found), 'id')}, "
            f"for example {without[0]!r}"
        )
    return [group for group in found if group]


def _expression(group_by: str, columns: Sequence[str]) -> re.Pattern[str]:
    no_column = f"no column of the table ({', '.join(columns)})" if columns else "no column (the data is no table)"
    hint = nearest(group_by, columns)
    try:
        expression = re.compile(group_by)
    except re.error as error:
        raise UsageError(f"--group-by {group_by!r} is {no_column} and no regular expression: {error}.{hint}") from None
    if expression.groups == 0:
        raise UsageError(
            f"--group-by {group_by!r} is {no_column} and no regular expression with a part in parentheses; "
            f"put them around what images of one group share, for example '^([^_]+)_'.{hint}"
        )
    return expression


def _checked(shares: Shares) -> dict[str, float]:
    if min(shares) < 0 or min(shares[:2]) == 0:
        given = "/".join(f"{share:g}" for share in shares)
        raise UsageError(
            f"--split {given}: train and val need shares above 0, and test none below 0; for example 70/15/15"
        )
    return {part: share / sum(shares) for part, share in zip(PARTS, shares, strict=True) if share > 0}


def _named(records: Sequence[Record], named: Sequence[Named], source: Path, unused: Collection[str]) -> Split:
    """The parts a file names, by id or file name."""
    assigned = assign_parts(records, named, unused)
    if len(assigned.unknown) == len({name for name, _ in named}):
        example = f": it lists {assigned.unknown[0]!r}, the data has {records[0].id!r}" if named and records else ""
        raise UsageError(f"{source} names no image of the data{example}; ids are image names without suffix")
    findings = (*_unassigned(assigned.records), *assigned.findings(source.name, records))
    return Split(assigned.records, f"from {source.name}", findings)


def _completed(records: Sequence[Record], presence: Mapping[str, frozenset[int]], seed: int) -> Split:
    """The data set's own parts; those it lacks are cut from its training part."""
    own = {record.split for record in records}
    lacking = [part for part in PARTS if part not in own]
    if not lacking or "train" in lacking:
        return Split(tuple(records), "the data's own parts", _unassigned(records))
    shares = {
        part: share for part, share in zip(PARTS, DEFAULT_SHARES, strict=True) if part == "train" or part in lacking
    }
    cut = _cut([record for record in records if record.split == "train"], presence, shares, seed)
    parts = {record.id: record.split for record in cut.records}
    completed = tuple(replace(record, split=parts.get(record.id) or record.split) for record in records)
    origin = f"the data's own parts; {' and '.join(lacking)} {cut.origin} from train"
    return Split(completed, origin, (*_unassigned(records), *cut.findings))


def _cut_all(
    records: Sequence[Record], presence: Mapping[str, frozenset[int]], shares: Mapping[str, float], seed: int
) -> Split:
    cut = _cut(records, presence, shares, seed)
    percent = "/".join(f"{100 * shares.get(part, 0):g}" for part in PARTS)
    return replace(cut, origin=f"{percent} {cut.origin}")


def _cut(
    records: Sequence[Record], presence: Mapping[str, frozenset[int]], shares: Mapping[str, float], seed: int
) -> Split:
    """Cut records into the parts of `shares`, groups staying whole."""
    units: defaultdict[str, list[frozenset[int]]] = defaultdict(list)
    for record in records:
        units[record.unit].append(presence.get(record.id, frozenset()))
    if len(units) < len(shares):
        return Split(
            tuple(replace(record, split=None) for record in records),
            "not cut",
            (_too_few(len(units), records, shares),) if records else (),  # of no image at all another finding tells
        )
    parts = stratify(units, shares, seed)
    grouped = ", groups whole" if any(record.group for record in records) else ""
    return Split(
        tuple(replace(record, split=parts[record.unit]) for record in records), f"cut by content (seed {seed}{grouped})"
    )


def _too_few(units: int, records: Sequence[Record], shares: Mapping[str, float]) -> Finding:
    kind = "group" if any(record.group for record in records) else "image"
    return finding(
        "too-few-images",
        f"{counted(units, kind)} cannot be cut into {', '.join(shares)}; "
        f"give at least {len(shares)}, or name the parts in a file: --split FILE",
    )


def _unassigned(records: Sequence[Record]) -> tuple[Finding, ...]:
    ids = tuple(record.id for record in records if record.split is None)
    message = f"{counted(len(ids), 'image')} in none of {', '.join(PARTS)}, so left out; add the ids to the split file"
    return (finding("unassigned-image", message, ids, ids),) if ids else ()
