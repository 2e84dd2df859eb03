"""Files that name the part of each image: reading them, and what they mean for the records of a data set."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.data.csv_table import read_columns, read_rows, require_columns
from segkit.data.findings import Finding
from segkit.data.image_io import IMAGE_SUFFIXES
from segkit.data.readers._base import cut_suffix
from segkit.data.rules import finding
from segkit.errors import UsageError, nearest
from segkit.ops.words import counted
from segkit.structures import PARTS, Record

Named = tuple[str, str]
"""What a split file calls an image, and the part it names for it."""


@dataclass(frozen=True)
class NamedParts:
    """Records with the parts that a split file names.

    Attributes:
        records: `split` None where the file does not name them.
        unknown: names that no image has.
        repeated: ids of images that are named more than once, with every part named; the first one counts.
    """

    records: tuple[Record, ...]
    unknown: tuple[str, ...] = ()
    repeated: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def findings(self, source: str, known: Sequence[Record]) -> Iterator[Finding]:
        """What is wrong with the file called `source`; a name that is unknown may mean one of the `known` records."""
        if self.unknown:
            first = self.unknown[0]
            message = f"{source} names {counted(len(self.unknown), 'id')} that no image has, for example {first!r}"
            hint = nearest(first, (record.id for record in known))
            yield finding("unknown-split-id", f"{message}; ids are image names without suffix.{hint}", self.unknown)
        if self.repeated:
            ids = [id_ for id_, _ in self.repeated]
            example = f"{ids[0]!r} ({', '.join(self.repeated[0][1])})"
            message = f"{source} names {counted(len(ids), 'id')} more than once, for example {example}; name each once"
            yield finding("repeated-split-id", message, ids, ids)


def read_split_file(path: Path) -> list[Named]:
    """Ids with parts, from a table with the columns `id,split` or a JSON file of part to ids; raises `UsageError`."""
    pairs = _json_pairs(path) if path.suffix.lower() == ".json" else _table_pairs(path)
    wrong = {part for _, part in pairs} - set(PARTS)
    if wrong:
        raise UsageError(f"{path}: unknown part {sorted(wrong)[0]!r}; allowed: {', '.join(PARTS)}")
    return pairs


def assign_parts(records: Sequence[Record], named: Iterable[Named], unused: Collection[str] = ()) -> NamedParts:
    """Give every record the part that a split file names for it.

    Args:
        records: the usable records.
        named: ids, or file names with an image's suffix; `\\` is read as `/` where no image has the name so.
        unused: ids of images that are there but cannot be used; a split file may name them.
    """
    ids = {*(record.id for record in records), *unused}
    parts: dict[str, list[str]] = {}
    for name, part in named:
        parts.setdefault(_id_of(name, ids), []).append(part)
    return NamedParts(
        tuple(replace(record, split=parts.get(record.id, (None,))[0]) for record in records),
        tuple(sorted(parts.keys() - ids)),
        tuple((id_, tuple(given)) for id_, given in sorted(parts.items()) if len(given) > 1),
    )


def _json_pairs(path: Path) -> list[Named]:
    try:
        return [
            (str(id_), str(part)) for part, ids in json.loads(path.read_text(encoding="utf-8")).items() for id_ in ids
        ]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "it needs a list of ids for each of train, val and test"
        raise UsageError(f"cannot read the split file {path}: {reason}") from None


def _table_pairs(path: Path) -> list[Named]:
    rows = read_rows(path)
    require_columns(path, read_columns(path), ("id", "split"))
    return [(row["id"], row["split"].lower()) for row in rows]


def _id_of(name: str, ids: Collection[str]) -> str:
    """The id that a name in a split file means: as it is, without its suffix, or with the slashes of Windows turned."""
    turned = name.replace("\\", "/")
    readings = (name, _without_suffix(name), turned, _without_suffix(turned))
    return next((reading for reading in readings if reading in ids), readings[1])


def _without_suffix(name: str) -> str:
    stem, suffix = cut_suffix(name)
    return stem if suffix.lower() in IMAGE_SUFFIXES else name
