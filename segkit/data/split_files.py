"""Files that name the part of each image: reading them, and what they mean for the records of a data set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segkit.data.csv_table import read_columns, read_rows, require_columns
from segkit.data.findings import Finding
from segkit.data.image_io import IMAGE_SUFFIXES
from segkit.data.readers._base import cut_suffix
from segkit.data.rules import finding
from segkit.errors import UsageError, nearest
from segkit.ops.words import counted
from segkit.structures import PARTS, Record


def read_split_file(path: Path) -> dict[str, str]:
    """Id to part, from a table with the columns `id,split` or a JSON file of part to ids; raises `UsageError`."""
    pairs = _json_pairs(path) if path.suffix.lower() == ".json" else _table_pairs(path)
    wrong = {part for _, part in pairs} - set(PARTS)
    if wrong:
        raise UsageError(f"{path}: unknown part {sorted(wrong)[0]!r}; allowed: {', '.join(PARTS)}")
    repeated = [id_ for id_, number in Counter(id_ for id_, _ in pairs).items() if number > 1]
    if repeated:
        raise UsageError(
            f"{path} lists {counted(len(repeated), 'id')} twice, for example {repeated[0]!r}; keep one row each"
        )
    return dict(pairs)


def assign_parts(
    records: Sequence[Record], parts: Mapping[str, str], unused: Collection[str] = ()
) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """Give every record the part that a split file names for it.

    Args:
        records: the usable records.
        parts: id, or file name with an image's suffix, to part; `\\` is read as `/` where no image has the name so.
        unused: ids of images that are there but cannot be used; a split file may name them.

    Returns:
        The records, `split` None where the file does not name them, and the names that no image has.
    """
    ids = {*(record.id for record in records), *unused}
    by_id = {_id_of(name, ids): part for name, part in parts.items()}
    return tuple(replace(record, split=by_id.get(record.id)) for record in records), tuple(sorted(by_id.keys() - ids))


def unknown_names(source: str, unknown: Sequence[str], records: Sequence[Record]) -> Iterator[Finding]:
    """The finding about names in a split file that no image has, or none."""
    if unknown:
        message = f"{source} names {counted(len(unknown), 'id')} that no image has, for example {unknown[0]!r}"
        hint = nearest(unknown[0], (record.id for record in records))
        yield finding("unknown-split-id", f"{message}; ids are image names without suffix.{hint}", unknown)


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


def _id_of(name: str, ids: Collection[str]) -> str:
    """The id that a name in a split file means: as it is, without its suffix, or with the slashes of Windows turned."""
    turned = name.replace("\\", "/")
    readings = (name, _without_suffix(name), turned, _without_suffix(turned))
    return next((reading for reading in readings if reading in ids), readings[1])


def _without_suffix(name: str) -> str:
    stem, suffix = cut_suffix(name)
    return stem if suffix.lower() in IMAGE_SUFFIXES else name
