"""The objects of a record as writers need them: boxes filled in, regions free of files, masks cut into objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from segkit.data.drawing import draw_region, encode_region
from segkit.data.image_io import read_mask
from segkit.data.samples import load_sample
from segkit.structures import (
    IGNORE_INDEX,
    Annotation,
    Box,
    ClassMap,
    MaskFile,
    ObjectAnnotation,
    Polygons,
    Record,
    RunLengths,
)

VOID = "void"
"""Name of the pixels that are not counted, where a layout has to call them something."""


def with_boxes(annotation: Annotation, size: tuple[int, int]) -> tuple[ObjectAnnotation, ...]:
    """The objects of an annotation in pixels, with boxes; regions in mask files become run lengths.

    An object without a box whose mask file shows no pixel of it is left out.

    Args:
        annotation: in pixels.
        size: (H, W) of the image.

    Raises:
        DataError: a mask file of another size than the image.
        UnreadableFileError: a mask file that cannot be read.
    """
    read = cache(read_mask)  # of one image many objects often stand in one file
    objects: list[ObjectAnnotation] = []
    for one in annotation.objects:
        region = one.region
        if isinstance(region, MaskFile):
            region = encode_region(draw_region(region, size, read))
        box = one.box if one.box is not None or region is None else region_box(region)
        if box is not None:
            objects.append(replace(one, box=box, region=region))
    return tuple(objects)


def region_box(region: Polygons | RunLengths) -> Box | None:
    """The smallest box around a region, None where it has no pixel."""
    if isinstance(region, Polygons):
        return region.box
    left, top, width, height = coco_mask.toBbox({"size": list(region.size), "counts": region.counts}).tolist()
    return (left, top, left + width, top + height) if width and height else None


def mask_objects(record: Record, classes: ClassMap) -> tuple[ObjectAnnotation, ...]:
    """The objects in a record's mask, as `objects_of` describes; none without a mask."""
    if isinstance(record.mask, Path) and classes.other is not None:
        return tuple(_numbered(read_mask(record.mask), classes))
    mask = load_sample(record, classes).mask
    return () if mask is None else (*_connected(mask, classes), *_void(mask == IGNORE_INDEX))


def void_objects(record: Record, classes: ClassMap) -> tuple[ObjectAnnotation, ...]:
    """The pixels of a record's mask that are not counted as one ignored object, none where all count."""
    mask = load_sample(record, classes).mask
    return () if mask is None else tuple(_void(mask == IGNORE_INDEX))


def _numbered(raw: NDArray[Any], classes: ClassMap) -> Iterator[ObjectAnnotation]:
    """One object per stored value, but for those of background and those not counted."""
    indices = classes.values_to_indices(raw)
    for value in np.unique(raw).tolist():
        index = classes.values.get(value, classes.other)
        if index in classes.foreground:
            yield _object(classes.names[index], raw == value)
    yield from _void(indices == IGNORE_INDEX)


def _connected(mask: NDArray[np.int16], classes: ClassMap) -> Iterator[ObjectAnnotation]:
    for index in classes.foreground:
        claimed = (mask == index).astype(np.uint8)
        if not claimed.any():
            continue
        count, numbers = cv2.connectedComponents(claimed, connectivity=8)
        for number in range(1, count):
            yield _object(classes.names[index], numbers == number)


def _void(pixels: NDArray[np.bool_]) -> Iterator[ObjectAnnotation]:
    if pixels.any():
        yield replace(_object(VOID, pixels), ignored=True)


def _object(label: str, pixels: NDArray[np.bool_]) -> ObjectAnnotation:
    region = encode_region(pixels)
    return ObjectAnnotation(label, region_box(region), region)
