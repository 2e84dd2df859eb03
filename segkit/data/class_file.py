"""Class files: the names, ids and colours of a data set's classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.data.csv_table import TABLE_SUFFIXES, read_columns, read_rows, require_columns
from segkit.errors import UsageError
from segkit.structures import Color

BACKGROUND_NAMES = frozenset({"background", "_background_", "bg"})
IGNORED_NAMES = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled"})

MAX_ID = 65535
"""Masks are written with 16 bits at most."""

_LABELMAP = re.compile(r"(?P<name>[^:]+):(?P<r>\d+),(?P<g>\d+),(?P<b>\d+):")
"""A line of CVAT's labelmap.txt: `name:r,g,b:parts:actions`."""

_MARKS = ("void", "ignore", "ignored")


@dataclass(frozen=True)
class ClassFile:
    """Declared classes, the ignored ones among them.

    Attributes:
        source: the file, or the option that gave the names.
        names: one per class.
        ids: one per class, as stored in masks.
        colors: one per class, or none where the file gives none.
        background: id of the class called background, None without one.
        ignored: ids of classes that are not counted.
    """

    source: str
    names: tuple[str, ...]
    ids: tuple[int, ...]
    colors: tuple[Color, ...] = ()
    background: int | None = None
    ignored: tuple[int, ...] = ()

    @classmethod
    def from_names(cls, names: Sequence[str], source: str) -> ClassFile:
        """Classes in the order of their ids 0, 1, 2, ..."""
        return _class_file(source, names, range(len(names)))

    @classmethod
    def from_ids(cls, ids: Mapping[str, int], source: str) -> ClassFile:
        """Classes by name, with the ids that masks store; raises `UsageError` for none, or an id that occurs twice."""
        return _class_file(source, tuple(ids), tuple(ids.values()))

    def without(self, names: Collection[str]) -> ClassFile:
        """The other classes, with the ids they have."""
        kept = [position for position, name in enumerate(self.names) if name not in names]
        return replace(
            self,
            names=tuple(self.names[position] for position in kept),
            ids=tuple(self.ids[position] for position in kept),
            colors=tuple(self.colors[position] for position in kept) if self.colors else (),
        )


def read_class_file(path: Path) -> ClassFile:
    """Read a class file.

    A table (`*.csv`) has the column `name`, and if wanted `id` (else the order counts), `r`, `g`, `b`, and `void` or
    `ignore` (1 for classes that are not counted). A text file has one name per line, `r g b name` like SegNet's
    label_colors.txt, or `name:r,g,b:parts:actions` like CVAT's labelmap.txt. Classes called void, ignore or unlabelled
    are not counted either.

    Raises:
        UsageError: a missing or misshaped file, or a name or id that occurs twice.
    """
    if not path.is_file():
        raise UsageError(
            f"there is no class file {path}; give a CSV with the columns id,name or a text file with one name per line"
        )
    return _read_table(path) if path.suffix.lower() in TABLE_SUFFIXES else _read_text(path)


def _read_table(path: Path) -> ClassFile:
    columns = read_columns(path)
    require_columns(path, columns, ["name"])
    rows = read_rows(path)
    ids = [_number(path, row["id"], "id") for row in rows] if "id" in columns else range(len(rows))
    colored = {"r", "g", "b"} <= set(columns)
    colors = [(_byte(path, row["r"]), _byte(path, row["g"]), _byte(path, row["b"])) for row in rows] if colored else []
    marked = [id_ for id_, row in zip(ids, rows, strict=True) if any(_is_true(row.get(mark, "")) for mark in _MARKS)]
    return _class_file(str(path), [row["name"] for row in rows], ids, colors, marked)


def _read_text(path: Path) -> ClassFile:
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no class file: it is no UTF-8 text") from None
    content = [" ".join(line) for line in lines if not line[0].startswith("#")]
    labelled = [match for line in content if (match := _LABELMAP.match(line))]
    if labelled and len(labelled) == len(content):
        colors = [(_byte(path, match["r"]), _byte(path, match["g"]), _byte(path, match["b"])) for match in labelled]
        return _class_file(str(path), [match["name"] for match in labelled], range(len(labelled)), colors)
    if lines and all(len(line) > 3 and all(map(_is_number, line[:3])) for line in lines):
        colors = [(_byte(path, r), _byte(path, g), _byte(path, b)) for r, g, b, *_ in lines]
        return _class_file(str(path), [" ".join(line[3:]) for line in lines], range(len(lines)), colors)
    return _class_file(str(path), [" ".join(line) for line in lines], range(len(lines)))


def _class_file(
    source: str, names: Sequence[str], ids: Sequence[int], colors: Sequence[Color] = (), marked: Sequence[int] = ()
) -> ClassFile:
    if not names:
        raise UsageError(f"{source} names no class")
    for kind, values in (("name", names), ("id", ids)):
        repeated = [value for value, count in Counter(values).items() if count > 1]
        if repeated:
            raise UsageError(f"{source}: the {kind} {repeated[0]!r} occurs twice; names and ids of classes are unique")
    by_id = dict(zip(ids, names, strict=True))
    return ClassFile(
        source=source,
        names=tuple(names),
        ids=tuple(ids),
        colors=tuple(colors),
        background=next((id_ for id_, name in by_id.items() if name.lower() in BACKGROUND_NAMES), None),
        ignored=tuple(id_ for id_, name in by_id.items() if id_ in marked or name.lower() in IGNORED_NAMES),
    )


def _number(path: Path, text: str, column: str) -> int:
    if not _is_number(text) or int(text) > MAX_ID:
        raise UsageError(f"{path}: {text!r} in column {column} is no whole number from 0 to {MAX_ID}")
    return int(text)


def _is_number(text: str) -> bool:
    """Whether it is a whole number of few digits; `²` is a digit that is none."""
    return text.isdecimal() and len(text) < 10


def _byte(path: Path, text: str) -> int:
    if not _is_number(text) or int(text) > 255:
        raise UsageError(f"{path}: {text!r} is no colour value; r, g and b are 0 to 255")
    return int(text)


def _is_true(text: str) -> bool:
    return text.lower() in ("1", "true", "yes", "x")
