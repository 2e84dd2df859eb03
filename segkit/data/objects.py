"""The objects of a record as a network learns them: boxes, or the pixels of each. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.drawing import boxes_alone, draw_region, regions
from segkit.data.image_io import read_mask
from segkit.errors import DataError
from segkit.ops.boxes import box_areas, boxes_of_ids, clip_boxes, has_area
from segkit.structures import IGNORE_INDEX, Annotation, Box, Boxes, ClassMap, Instances, ObjectAnnotation, Record

Size = tuple[int, int]


def boxes_of(annotation: Annotation, classes: ClassMap, size: Size) -> Boxes:
    """The boxes of marked objects, those that do not count with the label `IGNORE_INDEX`; see `marked_boxes`."""
    boxes, ignored, _ = marked_boxes(annotation, classes, size)
    return Boxes(boxes.corners, np.where(ignored, IGNORE_INDEX, boxes.labels))


def marked_boxes(
    annotation: Annotation, classes: ClassMap, size: Size
) -> tuple[Boxes, NDArray[np.bool_], NDArray[np.float64]]:
    """The boxes of marked objects, cut to the image, whether each is one that does not count, and its area.

    The area is the stated one, else that of the box. Boxes that enclose nothing, or lie wholly outside, are left out,
    and so is what does not count and is of no class.

    Args:
        annotation: objects with boxes, or with regions, whose smallest boxes are taken.
        classes: of the objects; there is no background among them.
        size: (H, W) of the image.

    Raises:
        DataError: a label that is no class, or a region of another size than the image.
    """
    indices = _indices(classes)
    found = [
        (box, _label(one, indices, annotation), one)
        for one in annotation.in_pixels(size).objects
        if (box := _box(one, size)) is not None and (one.label in indices or not one.ignored)
    ]
    corners = clip_boxes(np.array([box for box, _, _ in found], np.float32).reshape(-1, 4), size)
    labels = np.array([label for _, label, _ in found], np.int64)
    ignored = np.array([one.ignored for _, _, one in found], np.bool_)
    stated = np.array([np.nan if one.area is None else one.area for _, _, one in found], np.float64)
    areas = np.where(np.isnan(stated), box_areas(corners), stated)
    kept = has_area(corners)
    return Boxes(corners[kept], labels[kept]), ignored[kept], areas[kept]


def instances_of(record: Record, classes: ClassMap, size: Size, mask: NDArray[np.int16] | None) -> Instances | None:
    """The objects of a record pixel by pixel, ids from 1 without gaps; None where nothing tells them apart.

    Args:
        record: with a file whose values number the objects (`instances`), an annotation with regions, or a mask whose
            values number them, which is that where every value of it that is no other class is of one (`other`).
        classes: background and the classes of objects.
        size: (H, W) of the image.
        mask: (H, W) class indices of the mask beside the first two; it tells the class of each object of a file of
            numbers, and what it does not count does not count.

    Raises:
        DataError: a label that is no class, or a file of another size than the image.
        UnreadableFileError: a file that cannot be read.
    """
    if record.instances is not None:
        numbers = _read_numbers(record.instances, record, size)
    elif record.annotation is not None:
        return _painted(record.annotation, classes, size, mask)
    elif isinstance(record.mask, Path) and classes.other is not None:
        numbers = _read_numbers(record.mask, record, size)
        mask = classes.values_to_indices(numbers)
        numbers = np.where(np.isin(mask, classes.foreground), numbers, 0)
    else:
        return None
    values, ids = np.unique(numbers, return_inverse=True)
    numbered: NDArray[np.int32] = (ids.reshape(size) + (values[0] != 0)).astype(np.int32)
    labels = _majority(numbered, int(numbered.max()), mask, classes)
    if mask is not None:
        numbered[mask == IGNORE_INDEX] = IGNORE_INDEX
    return compacted(Instances(numbered, labels))


def _read_numbers(file: Path, record: Record, size: Size) -> NDArray[Any]:
    numbers = read_mask(file)
    if numbers.shape != size:
        raise DataError(
            f"{record.id}: the image is {size[1]} x {size[0]} pixels and {file.name} {numbers.shape[1]} x "
            f"{numbers.shape[0]}; both must have one size, 'segkit check' lists all such pairs"
        )
    return numbers


def _box(one: ObjectAnnotation, size: Size) -> Box | None:
    """The object's box, else that of its region; None where the region is empty."""
    if one.box is not None or one.region is None:
        return one.box
    found = boxes_of_ids(draw_region(one.region, size).astype(np.int32), 1)
    return tuple(found[0].tolist()) if has_area(found).any() else None


def _indices(classes: ClassMap) -> dict[str, int]:
    return {name: index for index, name in enumerate(classes.names)}


def _label(one: ObjectAnnotation, indices: Mapping[str, int], annotation: Annotation) -> int:
    if one.label not in indices:
        raise DataError(f"{annotation.source}: {one.label!r} is no class; classes: {', '.join(indices)}")
    return indices[one.label]


def _painted(annotation: Annotation, classes: ClassMap, size: Size, mask: NDArray[np.int16] | None) -> Instances:
    """Objects painted one over the other; those that others cover have no id.

    Regions of background take away what lies below them, and as in `draw_classes` a box alone does not count.
    """
    indices, painted, labels = _indices(classes), np.zeros(size, np.int32), []
    painted[boxes_alone(annotation, size)] = IGNORE_INDEX
    if mask is not None:
        painted[mask == IGNORE_INDEX] = IGNORE_INDEX
    for one, pixels in regions(annotation, size):
        if one.ignored:
            painted[pixels] = IGNORE_INDEX
            continue
        label = _label(one, indices, annotation)
        if label == classes.background:
            painted[pixels] = 0
            continue
        labels.append(label)
        painted[pixels] = len(labels)
    return compacted(Instances(painted, np.array(labels, np.int64)))


def compacted(instances: Instances) -> Instances:
    """The same objects without those that have no pixel, ids without gaps."""
    present = np.unique(instances.ids)
    present = present[present > 0]
    renamed = np.zeros(len(instances.labels) + 2, np.int32)
    renamed[-1] = IGNORE_INDEX  # ids of -1 index the last entry
    renamed[present] = np.arange(1, len(present) + 1)
    return Instances(renamed[instances.ids], instances.labels[present - 1])


def _majority(
    ids: NDArray[np.int32], count: int, mask: NDArray[np.int16] | None, classes: ClassMap
) -> NDArray[np.int64]:
    """The class that most pixels of each object have in the mask; without one the first class of objects."""
    first = classes.foreground[0]
    if mask is None or len(classes.foreground) == 1:
        return np.full(count, first, np.int64)
    votes = np.zeros((count, classes.num_classes), np.int64)
    counted = (ids > 0) & np.isin(mask, classes.foreground)
    np.add.at(votes, (ids[counted] - 1, mask[counted]), 1)
    return np.where(votes.any(axis=1), votes.argmax(axis=1), first)
