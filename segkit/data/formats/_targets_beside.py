"""Further targets of images that lie beside their masks: `boxes.csv`, `labels.csv`, and files of numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from segkit.data.csv_table import read_columns, read_rows, require_columns
from segkit.data.findings import Finding
from segkit.data.formats._base import Listing
from segkit.data.formats._folders import finding_of_files
from segkit.errors import UsageError
from segkit.structures import Annotation, ObjectAnnotation, Record, TaskName

BOXES, LABELS, INSTANCES = "boxes.csv", "labels.csv", "instances"
SIDES = ("x_min", "y_min", "x_max", "y_max")


def with_targets(listing: Listing, task: TaskName | None) -> Listing:
    """The listing of images and masks with the targets of another task, where a table beside them has these.

    `boxes.csv` has the columns `image,class,x_min,y_min,x_max,y_max`, in pixels, the last two exclusive; an image it
    does not name has no object. `labels.csv` has `image,label`; an image it does not name has no label. Files in
    `instances/` number the objects of the masks.

    Raises `UsageError` for a table without its columns, or with a side of a box that is no number.
    """
    if task == "detect" and (listing.root / BOXES).is_file():
        return _with_boxes(listing, listing.root / BOXES)
    if task == "classify" and (listing.root / LABELS).is_file():
        return _with_labels(listing, listing.root / LABELS)
    if task == "instances" and (listing.root / INSTANCES).is_dir():
        files = {file.stem: file for file in (listing.root / INSTANCES).iterdir() if file.is_file()}
        records = tuple(replace(record, instances=files.get(Path(record.id).name)) for record in listing.records)
        return replace(listing, records=records)
    return listing


def _with_boxes(listing: Listing, table: Path) -> Listing:
    require_columns(table, read_columns(table), ("image", "class", *SIDES))
    records = _Records(listing)
    objects: defaultdict[str, list[ObjectAnnotation]] = defaultdict(list)
    for row in read_rows(table):
        record = records.find(row["image"])
        if record is not None:
            objects[record.id].append(ObjectAnnotation(row["class"], _box(row, table)))
    annotated = tuple(
        replace(record, mask=None, annotation=Annotation(tuple(objects[record.id]), table))
        for record in listing.records
    )
    return replace(
        listing,
        task="detect",
        layout=f"{listing.layout}, boxes from {table.name}",
        records=annotated,
        class_file=None,
        findings=(*listing.findings, *records.absent(table)),
    )


def _with_labels(listing: Listing, table: Path) -> Listing:
    require_columns(table, read_columns(table), ("image", "label"))
    records = _Records(listing)
    labels: dict[str, str] = {}
    for row in read_rows(table):
        record = records.find(row["image"])
        if record is not None and labels.setdefault(record.id, row["label"]) != row["label"]:
            raise UsageError(f"{table} labels {row['image']} as {labels[record.id]} and {row['label']}; give it one")
    labelled = tuple(
        replace(record, mask=None, label=labels[record.id]) for record in listing.records if record.id in labels
    )
    return replace(
        listing,
        task="classify",
        layout=f"{listing.layout}, labels from {table.name}",
        records=labelled,
        class_file=None,
        findings=(*listing.findings, *records.absent(table)),
    )


class _Records:
    """Finds the records that a table names: by path from the data set's folder, by file name, or by id."""

    def __init__(self, listing: Listing) -> None:
        self._by_name: dict[str, Record] = {}
        for record in listing.records:
            path = record.image.relative_to(listing.root).as_posix()
            for name in (record.id, record.image.name, path):
                self._by_name[name] = record
        self._unknown: list[Path] = []
        self._root = listing.root

    def find(self, name: str) -> Record | None:
        """The record of that name; None, and remembered, where there is none."""
        found = self._by_name.get(name.replace("\\", "/").removeprefix("./"))
        if found is None:
            self._unknown.append(self._root / name)
        return found

    def absent(self, table: Path) -> Sequence[Finding]:
        """What a table named in vain."""
        missing = list(dict.fromkeys(self._unknown))
        message = f"{table.name} names {{n}} images that are not there; remove their rows, or add the images"
        return finding_of_files("missing-image", message, missing, self._root)


def _box(row: dict[str, str], table: Path) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = (float(row[side]) for side in SIDES)
    except ValueError:
        given = ", ".join(row[side] for side in SIDES)
        raise UsageError(
            f"{table}: {given} of {row['image']} is no box; expected four numbers, {', '.join(SIDES)}"
        ) from None
    return left, top, right, bottom
