"""A table that names image and mask, or image and label, of every record."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from segkit.data.findings import Finding
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._csv import TABLE_SUFFIXES, read_columns, read_rows
from segkit.data.formats._folders import SPLITS, find_class_file
from segkit.data.formats._layout import find_layout
from segkit.data.rules import finding
from segkit.errors import DataError, UsageError, nearest
from segkit.structures import Record

COLUMNS = ("image", "mask", "label", "group", "split")


@FORMATS.register("table")
class Table:
    """CSV or TSV with the columns `image` and `mask` or `label`, and if wanted `group` and `split`.

    Paths are relative to the table's folder; the cells are separated by commas, semicolons or tabs.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether `root` is a table, or a folder with a table of images in it; masks in folders come before labels."""
        if root.is_file():
            return root.suffix.lower() in TABLE_SUFFIXES
        tables = _tables(root)
        return any("mask" in read_columns(path) for path in tables) or bool(tables and not find_layout(root).parts)

    def list(self, root: Path) -> Listing:
        """List the records.

        Raises:
            UsageError: several tables, or one that lacks columns or has wrong cells.
            DataError: no image with a mask or label.
        """
        path = root if root.is_file() else _only_table(root)
        columns = _checked_columns(path)
        rows = read_rows(path)
        task: Literal["segment", "classify"] = "segment" if "mask" in columns else "classify"
        target = "mask" if task == "segment" else "label"
        without = sorted({row["image"] for row in rows if not _has_target(path.parent, row, target)})
        records = {_id(row["image"]): _record(path, row) for row in rows if _has_target(path.parent, row, target)}
        if not records:
            raise DataError(f"{path} names no image with a {target}; paths in the table are relative to its folder")
        repeated = [image for image, count in Counter(_id(row["image"]) for row in rows).items() if count > 1]
        assigned = apply_split_files(path.parent, list(records.values()), [_id(image) for image in without])
        return Listing(
            root=root,
            layout=f"table {path.name}",
            task=task,
            records=tuple(sorted(assigned.records, key=lambda record: record.id)),
            class_file=find_class_file(path.parent),
            notes=assigned.notes,
            findings=(*_findings(without, repeated, target), *assigned.findings),
        )


def _tables(folder: Path) -> list[Path]:
    """The tables in a folder whose header names images and masks or labels."""
    tables = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in TABLE_SUFFIXES and path.is_file()]
    return [
        path
        for path in tables
        if "image" in (columns := read_columns(path)) and ("mask" in columns or "label" in columns)
    ]


def _only_table(folder: Path) -> Path:
    tables = _tables(folder)
    if not tables:
        raise UsageError(f"{folder} has no table with the columns image and mask, or image and label")
    if len(tables) > 1:
        raise UsageError(
            f"{folder} has several tables of images: {', '.join(table.name for table in tables)}; name one of them"
        )
    return tables[0]


def _checked_columns(path: Path) -> tuple[str, ...]:
    columns = read_columns(path)
    target = "mask" in columns or "label" in columns
    if "image" in columns and target:
        return columns
    lacking = "image" if "image" not in columns else "mask (or label)"
    hints = [
        nearest(column, COLUMNS).replace("Did you mean", f"Is {column!r} meant to be")
        for column in columns
        if column not in COLUMNS
    ]
    found = ", ".join(filter(None, columns)) or "none"
    raise UsageError(f"{path} lacks the column {lacking}; it has {found}.{next(filter(None, hints), '')}")


def _record(path: Path, row: dict[str, str]) -> Record:
    return Record(
        id=_id(row["image"]),
        image=path.parent / row["image"],
        mask=path.parent / row["mask"] if row.get("mask") else None,
        label=row.get("label") or None,
        group=row.get("group") or None,
        split=_split(path, row.get("split", "")),
    )


def _split(path: Path, name: str) -> str | None:
    if name and name.lower() not in SPLITS:
        hint = nearest(name, SPLITS)
        raise UsageError(f"{path}: unknown split {name!r}; allowed: train, val, test, or an empty cell.{hint}")
    return SPLITS[name.lower()] if name else None


def _has_target(folder: Path, row: dict[str, str], target: str) -> bool:
    return bool(row[target]) and (target == "label" or (folder / row[target]).is_file())


def _id(image: str) -> str:
    return str(PurePosixPath(image).with_suffix(""))


def _findings(without: list[str], repeated: list[str], target: str) -> list[Finding]:
    """An image that does not exist is no matter of names: reading it says so."""
    found = []
    if without:
        code, what = ("missing-mask", "an existing mask") if target == "mask" else ("unknown-label", "a label")
        message = f"images without {what} ({len(without)}): fill the column {target}, or take the rows out"
        found.append(finding(code, message, without))
    if repeated:
        message = f"images in several rows, or that differ by the suffix alone ({len(repeated)}): keep one row each"
        found.append(finding("duplicate-id", message, repeated))
    return found
