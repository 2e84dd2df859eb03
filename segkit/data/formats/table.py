"""A table that names image and mask, or image and label, of every record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from segkit.data.csv_table import TABLE_SUFFIXES, format_table, read_columns, read_rows
from segkit.data.findings import Finding
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._examples import scenes
from segkit.data.formats._folders import SPLITS, find_class_file
from segkit.data.formats._image_search import is_file
from segkit.data.formats._targets_beside import find_parts
from segkit.data.image_io import write_image
from segkit.data.readers._base import cut_suffix
from segkit.data.rules import finding
from segkit.errors import DataError, UsageError, nearest
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import Record, TaskName

COLUMNS = ("image", "mask", "label", "group", "split")
TARGETS: dict[TaskName, str] = {"segment": "mask", "classify": "label"}
"""The column of each task's target; the first that is filled is taken unless the other is asked for."""

Row = dict[str, str]


@FORMATS.register("table")
class Table:
    """CSV or TSV with the columns `image` and `mask` or `label`, and if wanted `group` and `split`.

    With both, the masks are the targets unless classification is asked for.
    `--group-by` takes any further column. Paths are relative to the table's folder; the cells are separated by commas,
    semicolons or tabs.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether `root` is a table, or a folder with a table of images in it; masks and boxes beside it come first."""
        if root.is_file():
            return root.suffix.lower() in TABLE_SUFFIXES
        tables = _tables(root)
        return any("mask" in read_columns(path) for path in tables) or bool(tables and not find_parts(root).parts)

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the records with the targets of `task`, where the table has them; the other column is not looked at.

        Raises:
            UsageError: several tables, or one that lacks columns or has wrong cells.
            DataError: no image with a mask or label.
        """
        path = root if root.is_file() else _only_table(root)
        columns = _checked_columns(path)
        rows = _checked_rows(path)
        tasks = [name for name, target in TARGETS.items() if target in columns]
        # An empty column says nothing; cells that name no file are an error of their own.
        filled = [name for name in tasks if any(row[TARGETS[name]] for row in rows)] or tasks[:1]
        return _listing(root, path, rows, task if task in filled else filled[0])

    def example(self, root: Path) -> None:
        """Write a table of six images of three patients beside their folders."""
        pictures, drawn = make_folder(root / "scans"), make_folder(root / "drawn")
        rows = []
        for index, (image, numbers) in enumerate(scenes(6)):
            write_image(pictures / f"{index}.png", image)
            write_image(drawn / f"{index}.png", numbers)
            part = ("train", "val", "test")[index // 2]
            rows.append((f"scans/{index}.png", f"drawn/{index}.png", f"patient{index // 2}", part))
        write_atomically(root / "scans.csv", format_table(("image", "mask", "group", "split"), rows))


def _listing(root: Path, path: Path, rows: Sequence[Row], task: TaskName) -> Listing:
    """The records of a table for one of its targets."""
    target = TARGETS[task]
    without = sorted({row["image"] for row in rows if not _has_target(path.parent, row, target)})
    records = {_id(row): _record(path, row, task) for row in rows if _has_target(path.parent, row, target)}
    if not records:
        labels = target == "mask" and any(row.get("label") for row in rows)
        hint = "; its labels are learnt with '--task classify'" if labels else ""
        raise DataError(f"{path} names no image with a {target}; paths in the table are relative to its folder{hint}")
    assigned = apply_split_files(path.parent, list(records.values()), [_id(row) for row in rows])
    return Listing(
        root=root,
        layout=f"table {path.name}",
        task=task,
        records=tuple(sorted(assigned.records, key=lambda record: record.id)),
        class_file=find_class_file(path.parent),
        notes=assigned.notes,
        findings=(*_without_target(without, target), *_duplicates(rows), *assigned.findings),
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


def _checked_rows(path: Path) -> list[Row]:
    rows = read_rows(path)
    if not all(row["image"] for row in rows):
        raise UsageError(f"{path} has rows without an image; name it in the column image, or take the rows out")
    return [{**row, **_with_slashes(path.parent, row)} for row in rows]


def _with_slashes(folder: Path, row: Row) -> Row:
    """The paths of a row that Windows wrote with backslashes; other systems allow those in names."""
    paths = {column: row[column] for column in ("image", "mask") if "\\" in row.get(column, "")}
    return {column: text.replace("\\", "/") for column, text in paths.items() if not is_file(folder / text)}


def _record(path: Path, row: Row, task: TaskName) -> Record:
    return Record(
        id=_id(row),
        image=path.parent / row["image"],
        mask=path.parent / row["mask"] if task == "segment" else None,
        label=row["label"] if task == "classify" else None,
        group=row.get("group") or None,
        split=_split(path, row.get("split", "")),
        columns=row,
    )


def _split(path: Path, name: str) -> str | None:
    if name and name.lower() not in SPLITS:
        hint = nearest(name, SPLITS)
        raise UsageError(f"{path}: unknown split {name!r}; allowed: train, val, test, or an empty cell.{hint}")
    return SPLITS[name.lower()] if name else None


def _has_target(folder: Path, row: Row, target: str) -> bool:
    return bool(row[target]) and (target == "label" or is_file(folder / row[target]))


def _id(row: Row) -> str:
    return str(PurePosixPath(cut_suffix(row["image"])[0]))


def _without_target(images: Sequence[str], target: str) -> list[Finding]:
    """An image that does not exist is no matter of names: reading it says so."""
    if not images:
        return []
    code, what = ("missing-mask", "an existing mask") if target == "mask" else ("missing-label", "a label")
    message = f"images without {what} ({len(images)}): fill the column {target}, or take the rows out"
    return [finding(code, message, images)]


def _duplicates(rows: Sequence[Row]) -> list[Finding]:
    """Nothing says which of several rows is right, so the image is in doubt whatever they name."""
    repeated = {id_ for id_, number in Counter(map(_id, rows)).items() if number > 1}
    if not repeated:
        return []
    message = f"images in several rows, or that differ by the suffix alone ({len(repeated)}): keep one row each"
    images = sorted({row["image"] for row in rows if _id(row) in repeated})
    return [finding("duplicate-id", message, images, sorted(repeated))]
