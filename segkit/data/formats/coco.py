"""COCO's instances: one JSON file per part with images, categories and marked objects."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from segkit.data.csv_table import format_table
from segkit.data.drawing import encode_region
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._coco_files import CocoFile, find_coco_files, image_of, read_coco_file
from segkit.data.formats._coco_listing import ReadObjects, list_images, listing_of
from segkit.data.formats._coco_objects import parse_object, plain_object, stated_size
from segkit.data.formats._examples import SIZE, scenes, write_json
from segkit.data.formats._objects import region_box
from segkit.data.formats._writing import (
    PLAIN_SUFFIXES,
    WRITERS,
    copy_image,
    each,
    flat_names,
    not_kept,
    objects_of,
    require_task,
)
from segkit.data.image_io import write_image
from segkit.errors import DataError
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import Annotation, ObjectAnnotation, Polygons, Progress, RunLengths, TaskName

if TYPE_CHECKING:  # it imports the formats
    from segkit.data.opening import OpenDataset


@FORMATS.register("coco")
class Coco:
    """`annotations/instances_{train,val}*.json`, a JSON file beside the images, or `train/_annotations.coco.json`.

    Objects are polygons, run lengths or boxes; crowds are ignored, images without objects show background alone.
    """

    rank: ClassVar[int] = -1

    def recognises(self, root: Path) -> bool:
        """Whether a JSON file with images and their objects is there, judged by its keys."""
        return bool(find_coco_files(root, "instances"))

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the images; outlines are the targets where there are any, unless boxes are asked for.

        Raises:
            UnreadableFileError: a file that is not of COCO's form.
            DataError: no image is there, nothing is marked, or files contradict one another.
        """
        files = [read_coco_file(path, root) for path in find_coco_files(root, "instances")]
        if not files:
            raise DataError(f"{root} has no JSON file with COCO's lists images, annotations and categories")
        listed = [list_images(file, root, _reader(file)) for file in files]
        return listing_of(root, "COCO instances", listed, task)

    def example(self, root: Path) -> None:
        """Write five images in three parts, with polygons, run lengths and a crowd."""
        parts = {"train": range(3), "val": range(3, 4), "test": range(4, 5)}
        images = list(scenes(5))
        for split, numbers in parts.items():
            contents, folder = _Contents(), make_folder(root / "images" / split)
            for number in numbers:
                image, regions = images[number]
                write_image(folder / f"{number}.png", image)
                contents.add(f"{number}.png", (SIZE, SIZE), _example_objects(regions), {"bright": 1, "dark": 3})
            write_json(root / "annotations" / f"instances_{split}.json", contents.plain({"bright": 1, "dark": 3}))


def _example_objects(regions: NDArray[np.uint8]) -> list[ObjectAnnotation]:
    """A rectangle as polygon, a disc as run lengths, and a crowd in the upper right corner."""
    rows, columns = np.nonzero(regions == 1)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    crowd = np.zeros_like(regions)
    crowd[:3, -2:] = 1
    shapes: list[tuple[str, Polygons | RunLengths]] = [
        ("bright", Polygons((corners,))),
        ("dark", encode_region(regions == 2)),
        ("dark", encode_region(crowd)),
    ]
    return [
        ObjectAnnotation(label, region_box(region), region, ignored=number == 2)
        for number, (label, region) in enumerate(shapes)
    ]


def _reader(file: CocoFile) -> ReadObjects:
    """What reads the objects of one image of a file."""
    by_image: defaultdict[int | str | None, list[dict[str, Any]]] = defaultdict(list)
    for entry in file.annotations:
        by_image[image_of(entry)].append(entry)

    def read(image: Mapping[str, Any]) -> Annotation:
        size = stated_size(image)
        entries = by_image[image["id"]]
        objects = tuple(parse_object(entry, file.categories) for entry in entries)
        return Annotation(objects, file.path, size)

    return read


@WRITERS.register("coco")
def write_coco(dataset: OpenDataset, out: Path, progress: Progress | None = None) -> tuple[str, ...]:
    """Write `images/PART/` and `annotations/instances_PART.json`, without parts `images/` and `instances.json`.

    Outlines stay polygons or run lengths, ignored objects become crowds, and categories keep their ids. Groups stand in
    `groups.csv`. Raises what a `Writer` raises.
    """
    require_task(dataset, "COCO", ("segment", "detect"))
    names, categories = flat_names(dataset.records), _category_ids(dataset)
    files: defaultdict[str | None, _Contents] = defaultdict(_Contents)
    for record in each(dataset.records, progress):
        target = out / "images" / (record.split or "") / names[record.id]
        image = copy_image(dataset, record, target, PLAIN_SUFFIXES)
        size = dataset.facts.images[record.id].size
        files[record.split].add(image.name, size, objects_of(dataset, record), categories)
    make_folder(out / "annotations")
    for split, contents in files.items():
        path = out / "annotations" / (f"instances_{split}.json" if split else "instances.json")
        write_atomically(path, json.dumps(contents.plain(categories)).encode())
    groups = [(names[record.id], record.group) for record in dataset.records if record.group is not None]
    if groups:
        write_atomically(out / "groups.csv", format_table(("id", "group"), groups))
    marked = all(record.mask is None for record in dataset.records)
    return not_kept(dataset, ("groups", "objects", *(("overlaps",) if marked else ())))


def _category_ids(dataset: OpenDataset) -> dict[str, int]:
    """Class name -> category id: that of the data where it declares categories, background only where it does."""
    declared, classes = dataset.listing.declared, dataset.classes
    if declared is not None and set(classes.names) <= {*declared.names, "background"}:
        return dict(zip(declared.names, declared.ids, strict=True))
    return {classes.names[index]: classes.ids[index] for index in classes.foreground}


class _Contents:
    """One file in the making; images and objects are numbered from 1."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(
        self, name: str, size: tuple[int, int], objects: Iterable[ObjectAnnotation], categories: dict[str, int]
    ) -> None:
        """Add an image of `size` (H, W) with its objects, those of new names as new categories."""
        self._images.append({"id": len(self._images) + 1, "file_name": name, "width": size[1], "height": size[0]})
        for one in objects:
            category = categories.setdefault(one.label, max(categories.values(), default=0) + 1)
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": len(self._images),
                    "category_id": category,
                    "iscrowd": int(one.ignored),
                    **plain_object(one, size),
                }
            )

    def plain(self, categories: Mapping[str, int]) -> dict[str, Any]:
        """The file's content."""
        return {
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": id_, "name": name} for name, id_ in categories.items()],
        }
