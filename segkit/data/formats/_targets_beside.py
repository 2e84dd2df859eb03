"""Targets of images that lie beside them in tables, `boxes.csv` and `labels.csv`, and files of numbers beside masks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

from segkit.data.class_file import ClassFile, read_class_file
from segkit.data.csv_table import read_columns, read_rows, require_columns
from segkit.data.findings import Finding, shown
from segkit.data.formats._base import Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._folders import (
    INSTANCE_WORDS,
    ImageFiles,
    find_class_file,
    finding_of_files,
    holds_images,
)
from segkit.data.formats._ids import duplicate_ids, unique_ids
from segkit.data.formats._layout import Layout, Part, find_images, find_layout
from segkit.data.formats._marked import foreground_of
from segkit.data.formats._pairing import find_rule
from segkit.data.rules import finding
from segkit.structures import Annotation, Box, ObjectAnnotation, Record, TaskName

BOXES, LABELS = "boxes.csv", "labels.csv"
SIDES = ("x_min", "y_min", "x_max", "y_max")
COLUMNS: Mapping[str, Sequence[str]] = {BOXES: ("image", "class", *SIDES), LABELS: ("image", "label")}
"""What each table needs; it may have further columns."""

Row = dict[str, str]


def find_parts(root: Path) -> Layout:
    """The layout of images and masks, else of images alone that have a table of boxes; no parts where neither is there.

    Raises `DataError` as `find_layout` does.
    """
    layout = find_layout(root)
    return layout if layout.parts or not (root / BOXES).is_file() else find_images(root)


def table_of(root: Path, task: TaskName | None, parts: Sequence[Part]) -> Path | None:
    """The table in a folder that has the targets of a task; of images without masks boxes, unless labels are wanted.

    None where masks have the targets.
    """
    wanted = {"detect": BOXES, "classify": LABELS}.get(task or "")
    names = (wanted, None if any(part.masks for part in parts) else BOXES)
    return next((root / name for name in names if name is not None and (root / name).is_file()), None)


def list_table(root: Path, layout: str, parts: Sequence[Part], table: Path) -> Listing:
    """The images of these parts with the targets that a table beside them has.

    Of `boxes.csv` the sides are in pixels, the last two exclusive, and an image without a row shows no object. Of
    `labels.csv` an image without a row has no label, which is a finding; so is whatever is wrong with a row.

    Raises `UsageError` for a table without its columns.
    """
    require_columns(table, read_columns(table), COLUMNS[table.name])
    images = [(part, ImageFiles.below(part.images)) for part in parts]
    listed = [Record(id_, file, split=part.split) for part, files in images for id_, file in files.files.items()]
    records, id_notes = unique_ids(listed)
    assigned = apply_split_files(root, records)
    rows = _Rows.of(root, table, assigned.records)
    fill = _with_boxes if table.name == BOXES else _with_labels
    filled, findings = fill(assigned.records, rows, table, root)
    repeated = [file for _, files in images for file in files.repeated]
    return Listing(
        root=root,
        layout=layout,
        task="detect" if table.name == BOXES else "classify",
        records=tuple(sorted(filled, key=lambda record: record.id)),
        declared=_declared(
            root, {one.label for record in filled if record.annotation for one in record.annotation.objects}
        ),
        notes=(f"{'boxes' if table.name == BOXES else 'labels'} from {table.name}", *id_notes, *assigned.notes),
        findings=(*rows.findings(table), *findings, *duplicate_ids(repeated, filled, root), *assigned.findings),
    )


def with_numbers(listing: Listing, parts: Sequence[Part]) -> Listing:
    """The listing of images and masks with the files in `instances/` whose values number the objects of the masks.

    Files pair with images as masks do.
    """
    numbers: dict[Path, Path] = {}
    found: set[Path] = set()
    for part in parts:
        folder = _numbers_of(part, listing.root)
        if folder is not None:
            images, files = ImageFiles.below(part.images).files, ImageFiles.below(folder).files
            pairs = find_rule(images, files).pairs(images, files)
            numbers |= {images[id_]: files[name] for id_, name in pairs.items()}
            found.update(files.values())
    orphans = sorted(found - set(numbers.values()))
    message = "files of numbered objects without an image ({n}): add the images, or take the files out"
    return replace(
        listing,
        records=tuple(replace(record, instances=numbers.get(record.image)) for record in listing.records),
        findings=(*listing.findings, *finding_of_files("orphan-mask", message, orphans, listing.root)),
    )


def _numbers_of(part: Part, root: Path) -> Path | None:
    """The folder of numbers beside the images of a part, or called like the part in that of the data set."""
    folders = [
        folder
        for word in INSTANCE_WORDS
        for folder in (part.images.parent / word, root / word / part.images.name, root / word)
    ]
    return next((folder for folder in folders if folder.is_dir() and holds_images(folder)), None)


@dataclass(frozen=True)
class _Rows:
    """The rows of a table: by id of the record they are about, and the names of images that are not there."""

    of_record: Mapping[str, Sequence[Row]]
    absent: Sequence[str]

    @classmethod
    def of(cls, root: Path, table: Path, records: Sequence[Record]) -> _Rows:
        """Images are named by path from the folder of the data set, by id, or by a file name that is there once."""
        names = Counter(record.image.name for record in records)
        by_name = {record.image.name: record for record in records if names[record.image.name] == 1}
        by_name |= {record.id: record for record in records}
        by_name |= {shown(record.image, root): record for record in records}
        of_record: defaultdict[str, list[Row]] = defaultdict(list)
        absent = dict[str, None]()
        for row in read_rows(table):
            name = row["image"].replace("\\", "/").removeprefix("./")
            if name in by_name:
                of_record[by_name[name].id].append(row)
            else:
                absent[row["image"]] = None
        return cls(of_record, list(absent))

    def findings(self, table: Path) -> Iterator[Finding]:
        """What the table names in vain."""
        if self.absent:
            message = (
                f"{table.name} names images that are not there ({len(self.absent)}): add them, or take their rows out"
            )
            yield finding("missing-image", message, self.absent)


def _with_boxes(records: Sequence[Record], rows: _Rows, table: Path, root: Path) -> tuple[list[Record], list[Finding]]:
    """Every image with its boxes, and the findings about those of which a row is no box."""
    filled, broken = [], dict[str, str]()
    for record in records:
        own = [(row, _box(row)) for row in rows.of_record.get(record.id, ())]
        wrong = next((row for row, box in own if box is None or not row["class"]), None)
        if wrong is None:
            objects = tuple(ObjectAnnotation(row["class"], box) for row, box in own)
            filled.append(replace(record, annotation=Annotation(objects, table)))
        else:
            broken[shown(record.image, root)] = ", ".join(wrong[column] or "nothing" for column in ("class", *SIDES))
    if not broken:
        return filled, []
    reasons = "; ".join(f"{file}: {given}" for file, given in list(broken.items())[:3])
    message = f"{table.name}: rows of {len(broken)} images are no class and four numbers ({reasons}); correct them"
    return filled, [finding("unreadable-annotation", message, broken)]


def _with_labels(records: Sequence[Record], rows: _Rows, table: Path, root: Path) -> tuple[list[Record], list[Finding]]:
    """The images with one label, and the findings about the others."""
    labels = {record.id: {row["label"] for row in rows.of_record.get(record.id, ())} - {""} for record in records}
    filled = [replace(record, label=min(labels[record.id])) for record in records if len(labels[record.id]) == 1]
    without = [record.image for record in records if not labels[record.id]]
    several = [record.image for record in records if len(labels[record.id]) > 1]
    message = f"images without a label in {table.name} ({{n}}): label them, or take them out"
    findings = finding_of_files("missing-label", message, without, root)
    message = f"images of several labels in {table.name} ({{n}}): an image is of one class here; keep one row each"
    return filled, [*findings, *finding_of_files("unknown-label", message, several, root)]


def _box(row: Row) -> Box | None:
    try:
        left, top, right, bottom = (float(row[side]) for side in SIDES)
    except ValueError:
        return None
    return None if any(map(isnan, (left, top, right, bottom))) else (left, top, right, bottom)


def _declared(root: Path, labels: set[str]) -> ClassFile | None:
    """The classes of objects in the class file beside the masks, where it knows any of the labels."""
    file = find_class_file(root)
    declared = None if file is None else foreground_of(read_class_file(file))
    return declared if declared is not None and not labels.isdisjoint(declared.names) else None
