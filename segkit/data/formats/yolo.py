"""YOLO: a `data.yaml`, images, and a text file of boxes or outlines per image, or a folder of masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import yaml

from segkit.data.csv_table import format_table
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._examples import scenes
from segkit.data.formats._layout import find_layout
from segkit.data.formats._writing import (
    PLAIN_SUFFIXES,
    VOID,
    WRITERS,
    class_ids,
    copy_image,
    each,
    flat_names,
    not_kept,
    objects_of,
    require_task,
    written_classes,
)
from segkit.data.formats._yolo_files import YoloFile, find_yolo_file, images_of, read_yolo_file
from segkit.data.formats._yolo_folders import find_yolo_classes, read_yolo_classes
from segkit.data.formats._yolo_labels import label_lines
from segkit.data.formats._yolo_listing import listing_of, with_labels, with_masks
from segkit.data.image_io import write_image, write_mask
from segkit.errors import DataError
from segkit.ops.files import make_folder, write_atomically
from segkit.ops.words import counted
from segkit.structures import PARTS, Polygons, Progress, Record, Region, TaskName

if TYPE_CHECKING:  # it imports the formats
    from segkit.data.opening import OpenDataset


@FORMATS.register("yolo")
class Yolo:
    """`data.yaml` with names and parts, `images/PART/` and `labels/PART/` (boxes, outlines) or a `masks_dir`.

    An image without a label file shows no object. Label files without a `data.yaml`, as labelImg writes them, are read
    where a `classes.txt` lies in the folder, beside the labels or beside the images.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether a YAML file with names of classes and parts is there, judged by its keys, or labels without masks."""
        if find_yolo_file(root) is not None:
            return True
        return find_yolo_classes(root) is not None and not find_layout(root).parts

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the images: with masks where there is a `masks_dir`, else with outlines where there are any, else boxes.

        Raises:
            UnreadableFileError: a `data.yaml`, a `classes.txt` or a list of images that cannot be read.
            DataError: no image is there, or none has what the file promises.
        """
        file = _read(root)
        read = with_masks if file.masks_dir is not None and task != "detect" else with_labels
        return listing_of(root, file, [read(file, split, images_of(file, split), root) for split in file.parts], task)

    def example(self, root: Path) -> None:
        """Write five images in two parts, with outlines and boxes."""
        for index, (image, _) in enumerate(scenes(5)):
            split = "train" if index < 3 else "val"
            top, bottom, x = (4 + index) / 32, (12 + index) / 32, (22.5 - index) / 32
            square = f"0 0.125 {top} 0.4375 {top} 0.4375 {bottom} 0.125 {bottom}"
            disc = f"1 {x - 0.15} 0.55 {x + 0.15} 0.55 {x + 0.15} 0.85 {x - 0.15} 0.85"
            write_image(make_folder(root / "images" / split) / f"{index}.png", image)
            write_atomically(make_folder(root / "labels" / split) / f"{index}.txt", f"{square}\n{disc}\n".encode())
        records = [Record("", root, split=split) for split in ("train", "val")]
        _write_yaml(root, records, {0: "square", 1: "disc"}, {})


def _read(root: Path) -> YoloFile:
    """The `data.yaml`, else what stands in its place."""
    path = find_yolo_file(root)
    if path is not None:
        return read_yolo_file(path)
    classes = find_yolo_classes(root)
    if classes is None:
        raise DataError(
            f"{root} has no data.yaml with names of classes and train, val or test, nor label files with a classes.txt"
        )
    return read_yolo_classes(root, classes)


@WRITERS.register("yolo")
def write_yolo(dataset: OpenDataset, out: Path, progress: Progress | None = None) -> tuple[str, ...]:
    """Write `data.yaml`, `images/PART/`, and `masks/PART/` for masks that name classes, else `labels/PART/`.

    Masks keep their ids; labels number the classes 0, 1, 2, ... Groups stand in `groups.csv`. Raises what a `Writer`
    raises.
    """
    require_task(dataset, "YOLO", ("segment", "detect"))
    names = flat_names(dataset.records)
    for record in each(dataset.records, progress):
        copy_image(dataset, record, out / "images" / _part(record) / names[record.id], PLAIN_SUFFIXES)
    in_files = any(record.mask is not None for record in dataset.records)
    write = _write_masks if dataset.task != "detect" and in_files and dataset.classes.other is None else _write_labels
    losses = write(dataset, out, names)
    groups = [(names[record.id], record.group) for record in dataset.records if record.group is not None]
    if groups:
        write_atomically(out / "groups.csv", format_table(("id", "group"), groups))
    without = sum(record.split is None for record in dataset.records)
    said = (f"{counted(without, 'image')} of no part are in train, because a data.yaml has parts alone",)
    return (*losses, *(said if without else ()))


def _part(record: Record) -> str:
    return record.split or "train"


def _write_masks(dataset: OpenDataset, out: Path, names: Mapping[str, str]) -> tuple[str, ...]:
    """Masks as PNG of class ids, 255 where nothing counts."""
    classes = written_classes(dataset)
    for record in dataset.records:
        folder = make_folder(out / "masks" / _part(record))
        write_mask(folder / f"{names[record.id]}.png", class_ids(dataset, record, classes), classes)
    kept = {id_: name for id_, name in zip(classes.ids, classes.names, strict=True) if (id_, name) != (255, VOID)}
    _write_yaml(out, dataset.records, kept, {"masks_dir": "masks"})
    return not_kept(dataset, {"groups"})


def _write_labels(dataset: OpenDataset, out: Path, names: Mapping[str, str]) -> tuple[str, ...]:
    """A text file per image; objects that are not counted are left out."""
    classes = dataset.classes
    numbers = {classes.names[index]: number for number, index in enumerate(classes.foreground)}
    left_out = joined = 0
    for record in dataset.records:
        objects = objects_of(dataset, record)
        counting = [one for one in objects if not one.ignored and one.label in numbers]
        left_out += len(objects) - len(counting)
        joined += sum(one.region is not None and not _is_one_ring(one.region) for one in counting)
        lines = label_lines(counting, numbers, dataset.facts.images[record.id].size, dataset.task != "detect")
        content = "".join(f"{line}\n" for line in lines).encode()
        write_atomically(make_folder(out / "labels" / _part(record)) / f"{names[record.id]}.txt", content)
    _write_yaml(out, dataset.records, {number: name for name, number in numbers.items()}, {})
    losses = {
        f"{counted(left_out, 'object')} that are not counted are left out": left_out,
        "holes and parts of one object are joined by lines without width": joined and dataset.task != "detect",
    }
    return (*(said for said, happened in losses.items() if happened), *not_kept(dataset, {"groups", "objects"}))


def _is_one_ring(region: Region) -> bool:
    return isinstance(region, Polygons) and len(region.rings) == 1


def _write_yaml(root: Path, records: Iterable[Record], names: Mapping[int, str], more: Mapping[str, str]) -> None:
    parts = {_part(record) for record in records}
    content = {part: f"images/{part}" for part in PARTS if part in parts} | dict(more) | {"names": dict(names)}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_atomically(root / "data.yaml", text.encode())
