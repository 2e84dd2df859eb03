"""Masks drawn from objects that people marked. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from segkit.data.image_io import read_mask
from segkit.errors import DataError
from segkit.structures import Annotation, ObjectAnnotation, Polygons, Region, RunLengths

Size = tuple[int, int]
Pixels = NDArray[np.bool_]

MAX_OUTLINE = 2**23
"""Longest outline that is filled, in pixels: pycocotools takes some dozen bytes for every pixel of it."""


def draw_classes(
    annotation: Annotation, indices: Mapping[str, int], size: Size, unclaimed: int, ignored: int
) -> NDArray[np.int16]:
    """Paint an annotation's objects one over the other, in their order.

    An object that has a box alone is somewhere in it: the box is not counted, but for the regions of other objects.

    Args:
        annotation: objects with regions, boxes, or both.
        indices: label -> what its objects are painted with.
        size: (H, W) of the image.
        unclaimed: what pixels without an object hold.
        ignored: what objects are painted with that are not counted.

    Returns:
        (H, W).

    Raises:
        DataError: a label is not among the `indices`, or a region has another size than the image.
        UnreadableFileError: a mask file that cannot be read.
    """
    painted = np.full(size, unclaimed, np.int16)
    painted[boxes_alone(annotation, size)] = ignored
    for one, pixels in regions(annotation, size):
        if not one.ignored and one.label not in indices:
            raise DataError(f"{annotation.source}: {one.label!r} is no class; classes: {', '.join(indices)}")
        painted[pixels] = ignored if one.ignored else indices[one.label]
    return painted


def regions(annotation: Annotation, size: Size) -> Iterator[tuple[ObjectAnnotation, Pixels]]:
    """Every object that has a region, with its pixels (H, W), in their order.

    Raises what `draw_classes` does, but for labels.
    """
    read = cache(read_mask)  # of one image many objects often stand in one file
    for one in annotation.in_pixels(size).objects:
        if one.region is not None:
            yield one, draw_region(one.region, size, read)


def boxes_alone(annotation: Annotation, size: Size) -> Pixels:
    """The pixels (H, W) whose centres lie in the box of an object without a region."""
    covered = np.zeros(size, np.bool_)
    rows, columns = (np.arange(side) + 0.5 for side in size)
    for one in annotation.in_pixels(size).objects:
        if one.region is None and one.box is not None:
            left, top, right, bottom = one.box
            covered |= np.outer((top <= rows) & (rows < bottom), (left <= columns) & (columns < right))
    return covered


def draw_region(region: Region, size: Size, read: Callable[[Path], NDArray[Any]] = read_mask) -> Pixels:
    """The pixels (H, W) of one region.

    Polygons are filled by COCO's rule (pycocotools, whose pixels have their centres at half numbers).

    Args:
        region: in pixels of the image.
        size: (H, W) of the image; parts of polygons beyond it are cut off.
        read: reads the mask file of a `MaskFile`.

    Raises:
        DataError: a region has another size than the image, or reaches absurdly far beyond it.
        UnreadableFileError: a mask file that cannot be read.
    """
    if isinstance(region, Polygons):
        return _decode(fill_polygons(region, size))
    if isinstance(region, RunLengths):
        _require_size(region.size, size, "a region")
        return _decode(region)
    values = read(region.path)
    _require_size(values.shape, size, region.path.name)
    return values != 0 if region.value is None else values == region.value


def encode_region(pixels: NDArray[Any]) -> RunLengths:
    """The region of the pixels (H, W) that are not 0, the way back from `draw_region`."""
    encoded = coco_mask.encode(np.asfortranarray(pixels != 0, np.uint8))
    return RunLengths((pixels.shape[0], pixels.shape[1]), encoded["counts"])


def fill_polygons(region: Polygons, size: Size) -> RunLengths:
    """What polygons enclose, as `draw_region` fills them; raises `DataError` where they reach absurdly far."""
    _require_fillable(region)
    rings = [ring.astype(np.float64).ravel().tolist() for ring in region.rings]
    return RunLengths(size, coco_mask.merge(coco_mask.frPyObjects(rings, *size))["counts"])


def region_area(region: RunLengths) -> int:
    """Its number of pixels."""
    return int(coco_mask.area({"size": list(region.size), "counts": region.counts}))


def _decode(region: RunLengths) -> Pixels:
    encoded = {"size": list(region.size), "counts": region.counts}
    return np.ascontiguousarray(coco_mask.decode(encoded)).astype(np.bool_)


def _require_fillable(region: Polygons) -> None:
    edges = [np.abs(ring - np.roll(ring, 1, axis=0)).max(axis=1) for ring in region.rings]
    length = sum(float(edge.sum(dtype=np.float64)) for edge in edges)
    if not length <= MAX_OUTLINE:
        left, top, right, bottom = region.box
        raise DataError(
            f"an outline from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) is longer than {MAX_OUTLINE:,} pixels"
        )


def _require_size(found: tuple[int, ...], size: Size, what: str) -> None:
    if found != size:
        raise DataError(f"{what} is of {found[1]} x {found[0]} pixels, and its image of {size[1]} x {size[0]}")
