"""Which images train, validate and test: the data set's own parts, a split file, or a cut by content.

A cut depends on nothing but the seed, the ids, the groups and the classes present: not on the order of files, the
machine or the time. Images of one group stay together, and every part gets its share of every class.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.data.config import DataConfig
from segkit.data.findings import Finding
from segkit.data.formats._csv import read_columns, read_rows, require_columns
from segkit.data.rules import finding
from segkit.data.stratify import stratify
from segkit.errors import UsageError, nearest
from segkit.structures import Record

PARTS = ("train", "val", "test")
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

    def to_dict(self) -> dict[str, list[str]]:
        """Ids per part, JSON-ready; `--split` accepts a file of it."""
        return {part: [record.id for record in self.records if record.split == part] for part in PARTS}


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
        presence: id -> classes present in that image, for equal shares of each class; an id may lack.
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
    """Fill the `group` of every record: the regular expression's first group searched in the id, or the table's column.

    Raises:
        UsageError: no valid expression with a group, no such column, or ids in which it finds nothing.
    """
    if group_by is None:
        return tuple(records)
    if group_by == "group":
        if not all(record.group for record in records):
            raise UsageError(
                "--group-by group: the data is no table with a filled column 'group'; give a regular expression on ids"
            )
        return tuple(records)
    try:
        expression = re.compile(group_by)
    except re.error as error:
        raise UsageError(f"--group-by {group_by!r} is no regular expression: {error}") from None
    if expression.groups == 0:
        raise UsageError(
            f"--group-by {group_by!r} has no part in parentheses; put them around what images of one group share, "
            "for example '^([^_]+)_', or give the table's column 'group'"
        )
    found = {record.id: expression.search(record.id) for record in records}
    without = [id_ for id_, match in found.items() if match is None or not match[1]]
    if without:
        raise UsageError(
            f"--group-by {group_by!r} finds nothing in {len(without)} of {len(found)} ids, for example {without[0]!r}"
        )
    return tuple(replace(record, group=match[1]) for record in records if (match := found[record.id]))


def read_split_file(path: Path) -> dict[str, str]:
    """Id to part, from a table with the columns `id,split` or a JSON file of `Split.to_dict`; raises `UsageError`."""
    pairs = _json_pairs(path) if path.suffix.lower() == ".json" else _table_pairs(path)
    wrong = {part for _, part in pairs} - set(PARTS)
    if wrong:
        raise UsageError(f"{path}: unknown part {sorted(wrong)[0]!r}; allowed: {', '.join(PARTS)}")
    repeated = [id_ for id_, count in Counter(id_ for id_, _ in pairs).items() if count > 1]
    if repeated:
        raise UsageError(f"{path}: {len(repeated)} ids are listed twice, for example {repeated[0]!r}")
    return dict(pairs)


def _json_pairs(path: Path) -> list[tuple[str, str]]:
    try:
        return [
            (str(id_), str(part)) for part, ids in json.loads(path.read_text(encoding="utf-8")).items() for id_ in ids
        ]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "it needs a list of ids for each of train, val and test"
        raise UsageError(f"cannot read the split file {path}: {reason}") from None


def _table_pairs(path: Path) -> list[tuple[str, str]]:
    rows = read_rows(path)
    require_columns(path, read_columns(path), ("id", "split"))
    return [(row["id"], row["split"].lower()) for row in rows]


def _checked(shares: Shares) -> dict[str, float]:
    if min(shares) < 0 or min(shares[:2]) == 0:
        given = "/".join(f"{share:g}" for share in shares)
        raise UsageError(
            f"--split {given}: train and val need shares above 0, and test none below 0; for example 70/15/15"
        )
    return {part: share / sum(shares) for part, share in zip(PARTS, shares, strict=True) if share > 0}


def _named(records: Sequence[Record], parts: Mapping[str, str], source: Path, unused: Collection[str]) -> Split:
    """The parts a file names, by id or file name."""
    ids = {*(record.id for record in records), *unused}
    parts = {name if name in ids else _without_suffix(name): part for name, part in parts.items()}
    unknown = sorted(parts.keys() - ids)
    if len(unknown) == len(parts):
        example = f": it lists {unknown[0]!r}, the data has {min(ids)!r}" if unknown and ids else ""
        raise UsageError(f"{source} names no image of the data{example}; ids are image names without suffix")
    assigned = tuple(replace(record, split=parts.get(record.id)) for record in records)
    findings = list(_unassigned(assigned))
    if unknown:
        message = f"{source.name} names {len(unknown)} ids that no image has, for example {unknown[0]!r}."
        findings.append(finding("unknown-split-id", message + nearest(unknown[0], ids), unknown))
    return Split(assigned, f"from {source.name}", tuple(findings))


def _without_suffix(name: str) -> str:
    return re.sub(r"\.[^./]*$", "", name)


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
    kind = "groups" if any(record.group for record in records) else "images"
    return finding(
        "too-few-images",
        f"{units} {kind} cannot be cut into {', '.join(shares)}; "
        f"give at least {len(shares)}, or name the parts in a file: --split FILE",
    )


def _unassigned(records: Sequence[Record]) -> tuple[Finding, ...]:
    left_out = tuple(record.id for record in records if record.split is None)
    message = f"{len(left_out)} images are in none of {', '.join(PARTS)} and are left out; add them to the split file"
    return (finding("unassigned-image", message, left_out),) if left_out else ()
