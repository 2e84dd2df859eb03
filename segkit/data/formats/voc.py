"""Pascal VOC: masks of classes, masks of numbered objects, and XML files with boxes.

Format: the development kit of http://host.robots.ox.ac.uk/pascal/VOC/voc2012/. In its masks 0 is background and 255 is
not counted; in those of objects the number is the object's place in the XML file. Its boxes name the first and the last
pixel inside, and the first pixel of an image is 1: xmin 1, xmax 2 covers two columns, and is read as the edges 0 and 2.
A box whose edges are equal both ways is what a click leaves, and is read as one without area. Where some box of a set
begins at 0 its boxes were written by a tool that counts otherwise: they are taken as edges, which is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from numpy.typing import NDArray

from segkit.data.class_file import BACKGROUND_NAMES
from segkit.data.csv_table import format_table
from segkit.data.drawing import draw_region
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._examples import scenes
from segkit.data.formats._marked import masks_beside
from segkit.data.formats._objects import VOID as VOID_NAME
from segkit.data.formats._objects import with_boxes
from segkit.data.formats._voc_files import (
    ANNOTATIONS,
    CLASS_MASKS,
    IMAGES,
    OBJECT_MASKS,
    SETS,
    devkit_files,
    find_base,
    has_annotations,
    loose_files,
)
from segkit.data.formats._voc_listing import VOID, list_voc
from segkit.data.formats._writing import (
    WRITERS,
    class_ids,
    copy_image,
    each,
    flat_names,
    holdable,
    not_kept,
    objects_of,
    require_task,
    written_classes,
)
from segkit.data.image_io import write_image, write_mask
from segkit.errors import DataError
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import PARTS, Box, ClassMap, ObjectAnnotation, Progress, Record, TaskName

if TYPE_CHECKING:
    from segkit.data.opening import OpenDataset

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})

_SENTENCES = {
    "cut": "boxes that reach beyond their image are cut off there: {n}",
    "pixel": "boxes of exactly one pixel are read back as boxes without area: {n}",
    "outline": "objects whose outline is not kept beside their box: {n}",
    "deep": "masks of more than 254 objects, which are stored with 16 bits: {n}",
}


@FORMATS.register("voc")
class Voc:
    """`JPEGImages/` with `SegmentationClass/`, `SegmentationObject/`, `Annotations/` and `ImageSets/`.

    The folder may be the one above, such as `VOCdevkit/`. Without these folders, XML files of VOC's form beside the
    images, or in a folder of their own, give boxes. Difficult objects are neither learnt nor scored.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether VOC's folders are there, or XML files of its form and no masks in files."""
        return find_base(root) is not None or (has_annotations(root) and not masks_beside(root))

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the records; raises `DataError` where neither masks nor boxes can be read."""
        base = find_base(root)
        if base is None and not has_annotations(root):
            raise DataError(
                f"{root} is not laid out as Pascal VOC; expected JPEGImages/ with SegmentationClass/ or Annotations/"
            )
        return list_voc(root, loose_files(root) if base is None else devkit_files(base), task)

    def example(self, root: Path) -> None:
        """Write four images with both kinds of masks, boxes and the lists of the parts."""
        classes, names = ClassMap(("background", "square", "disc", "void"), ids=(0, 1, 2, VOID)), list("abcd")
        for name, (image, numbers) in zip(names, scenes(len(names)), strict=True):
            for folder in (IMAGES, ANNOTATIONS, CLASS_MASKS[0], OBJECT_MASKS[0]):
                make_folder(root / folder)
            write_image(root / IMAGES / f"{name}.png", image)
            numbers[0] = VOID
            write_mask(root / CLASS_MASKS[0] / f"{name}.png", numbers, classes)
            write_mask(root / OBJECT_MASKS[0] / f"{name}.png", numbers, classes)
            objects = [ObjectAnnotation(classes.names[value], _box_of(numbers == value)) for value in (1, 2)]
            _write_annotation(root / ANNOTATIONS / f"{name}.xml", f"{name}.png", image[..., None].shape, objects, True)
        for kind in ("Main", "Segmentation"):
            _write_sets(root / SETS / kind, {"train": names[:2], "val": names[2:3], "test": names[3:]})
        write_atomically(root / "classes.csv", _class_table(classes))


@WRITERS.register("voc")
def write_voc(dataset: OpenDataset, out: Path, progress: Progress | None = None) -> tuple[str, ...]:
    """Write `JPEGImages/`, `ImageSets/`, `classes.csv`, and masks or boxes as VOC has them.

    Masks go to `SegmentationClass/`; where the data tells single objects they are numbered in `SegmentationObject/` and
    named in `Annotations/`. Raises what a `Writer` raises.
    """
    require_task(dataset, "voc", ("segment", "detect"))
    records, left_out = holdable(dataset, SUFFIXES)
    names, said = flat_names(records), Counter[str]()
    is_segment = dataset.task != "detect"
    classes = written_classes(dataset) if is_segment else dataset.classes
    for record in each(records, progress):
        name = names[record.id]
        image, ids = copy_image(dataset, record, out / IMAGES / name, SUFFIXES), None
        if is_segment:
            ids = class_ids(dataset, record, classes)
            make_folder(out / CLASS_MASKS[0])
            write_mask(out / CLASS_MASKS[0] / f"{name}.png", ids, classes)
        if record.annotation is not None or dataset.classes.other is not None:
            uncounted = None if ids is None else ~np.isin(ids, dataset.classes.ids)
            _write_objects(dataset, record, out / ANNOTATIONS / f"{name}.xml", image.name, uncounted, said)
    parts = {part: [names[record.id] for record in records if record.split == part] for part in PARTS}
    parts["trainval"] = [names[record.id] for record in records if record.split != "test"]
    _write_sets(out / SETS / ("Segmentation" if is_segment else "Main"), parts)
    write_atomically(out / "classes.csv", _class_table(classes))
    lost = [sentence.format(n=said[key]) for key, sentence in _SENTENCES.items() if said[key]]
    return (*left_out, *not_kept(dataset, ("boxes", "objects")), *_background_not_kept(classes, is_segment), *lost)


def _write_objects(
    dataset: OpenDataset,
    record: Record,
    file: Path,
    image: str,
    uncounted: NDArray[np.bool_] | None,
    said: Counter[str],
) -> None:
    """The XML file of an image and, to segment, the mask that numbers its objects in the order of that file."""
    facts = dataset.facts.images[record.id]
    if record.annotation is None:
        found = objects_of(dataset, record)
    else:
        found = with_boxes(record.annotation.in_pixels(facts.size), facts.size)
    objects = [one for one in found if one.box is not None and not (one.ignored and one.label == VOID_NAME)]
    numbered = uncounted is not None and any(one.region is not None for one in objects)
    if uncounted is not None and numbered:
        masks = make_folder(file.parent.parent / OBJECT_MASKS[0])
        _write_numbers(masks / f"{file.stem}.png", objects, uncounted)
        said["deep"] += len(objects) >= VOID
    elif dataset.task == "detect":
        said["outline"] += sum(one.region is not None for one in objects)
    inside = [replace(one, box=_cut(one.box, facts.size)) for one in objects if one.box is not None]
    said["cut"] += sum(one.box != cut.box for one, cut in zip(objects, inside, strict=True))
    said["pixel"] += sum(_is_pixel(one.box) for one in inside)
    make_folder(file.parent)
    _write_annotation(file, image, (*facts.size, facts.channels), inside, numbered)


def _write_numbers(path: Path, objects: Sequence[ObjectAnnotation], uncounted: NDArray[np.bool_]) -> None:
    """The mask of numbered objects; pixels of none that do not count are 255, where no object has that number."""
    size = (uncounted.shape[0], uncounted.shape[1])
    numbers = np.zeros(size, np.uint16)
    for value, one in enumerate(objects, start=1):
        if one.region is not None:
            numbers[draw_region(one.region, size)] = value
    if len(objects) < VOID:
        numbers[uncounted & (numbers == 0)] = VOID
    write_mask(path, numbers, ClassMap(tuple(map(str, range(max(VOID, len(objects)) + 1)))))


def _is_pixel(box: Box | None) -> bool:
    return box is not None and (box[2] - box[0], box[3] - box[1]) == (1, 1)


def _cut(box: Box, size: tuple[int, int]) -> Box:
    """A box without what lies beyond the image."""
    across, down = (np.clip((box[i], box[i + 2]), 0, size[1 - i]).tolist() for i in (0, 1))
    return across[0], down[0], across[1], down[1]


def _write_annotation(
    path: Path, filename: str, shape: tuple[int, ...], objects: Sequence[ObjectAnnotation], segmented: bool
) -> None:
    tree = Element("annotation")
    for name, text in (("folder", IMAGES), ("filename", filename)):
        SubElement(tree, name).text = text
    size = SubElement(tree, "size")
    for name, side in zip(("height", "width", "depth"), shape, strict=True):
        SubElement(size, name).text = str(side)
    SubElement(tree, "segmented").text = str(int(segmented))
    for one in objects:
        if one.box is None:
            continue
        if not one.label.isprintable():
            raise DataError(f"{path.stem}: the class {one.label!r} has characters that XML cannot hold; rename it")
        element = SubElement(tree, "object")
        facts = (("name", one.label), ("pose", "Unspecified"), ("truncated", "0"), ("difficult", str(int(one.ignored))))
        for name, text in facts:
            SubElement(element, name).text = text
        box = SubElement(element, "bndbox")
        for name, edge in zip(("xmin", "ymin", "xmax", "ymax"), _edges(one.box), strict=True):
            SubElement(box, name).text = str(int(edge)) if edge == int(edge) else repr(edge)
    indent(tree)
    write_atomically(path, tostring(tree, "utf-8"))


def _edges(box: Box) -> Box:
    """First and last pixel, counted from 1; equal ones where the box has no area either way."""
    left, top, right, bottom = box
    if left == right and top == bottom:
        return left + 1, top + 1, right + 1, bottom + 1
    return left + 1, top + 1, right, bottom


def _write_sets(folder: Path, parts: Mapping[str, Sequence[str]]) -> None:
    """One list of names per part that has any."""
    make_folder(folder)
    for part, names in parts.items():
        if names:
            write_atomically(folder / f"{part}.txt", "".join(f"{name}\n" for name in names).encode())


def _class_table(classes: ClassMap) -> bytes:
    rows = [(id_, name, *color) for id_, name, color in zip(classes.ids, classes.names, classes.colors, strict=True)]
    return format_table(("id", "name", "r", "g", "b"), rows)


def _background_not_kept(classes: ClassMap, is_segment: bool) -> tuple[str, ...]:
    """A class file marks the background by its name."""
    if not is_segment or classes.background is None or classes.names[classes.background].lower() in BACKGROUND_NAMES:
        return ()
    name, id_ = classes.names[classes.background], classes.ids[classes.background]
    return (f"that {name} is the background is not kept: read it with --background {id_}",)


def _box_of(pixels: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
