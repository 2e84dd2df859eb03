"""labelme's shapes as objects: what each kind covers, and which belong together."""

from __future__ import annotations

import binascii
import math
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.data.drawing import draw_region, encode_region
from segkit.data.formats._json import kind_of
from segkit.data.formats._marked import marked
from segkit.data.formats._shapes import box_of, corner, ellipse, pasted, polygon, rectangle, require_drawable
from segkit.errors import DataError
from segkit.structures import Box, ObjectAnnotation, Polygons, RunLengths, TaskName

IGNORED = "__ignore__"

_FLAT = frozenset({"point", "points", "line", "linestrip"})
"""Shapes that cover no area."""

_OUTLINES = frozenset({"polygon", "oriented_rectangle", "rotation"})
"""Shapes whose points are the corners of what they cover."""

Size = tuple[int, int]
Shape = Polygons | RunLengths | Box


def read_shapes(
    shapes: Sequence[Mapping[str, Any]], size: Size | None, task: TaskName | None, left_out: Counter[str]
) -> list[ObjectAnnotation]:
    """The objects of one file, in their order.

    Shapes of one label and group are one object. To segment, where order counts, they are so while no shape of another
    label lies between them: that changes no pixel.

    Args:
        shapes: the file's.
        size: (H, W) of the image as stated, without which masks cannot be read.
        task: what the objects are for.
        left_out: counts the kinds of shape that cover no area.

    Raises:
        DataError: a shape that cannot be one.
    """
    objects: list[ObjectAnnotation] = []
    positions: dict[tuple[str, str], int] = {}
    for entry in shapes:
        label, kind = _label(entry), _kind(entry)
        shape = None if kind in _FLAT else _shape(entry, kind, size)
        if shape is None:
            left_out[kind] += 1
            continue
        if task != "detect" and objects and objects[-1].label != label:
            positions.clear()
        one, group = marked(label, shape, label == IGNORED), entry.get("group_id")
        known = None if group is None else positions.get((label, str(group)))
        if known is not None:
            objects[known] = _united(objects[known], one, size)
            continue
        if group is not None:
            positions[label, str(group)] = len(objects)
        objects.append(one)
    return objects


def _label(entry: Mapping[str, Any]) -> str:
    label = entry.get("label")
    if not isinstance(label, str) or not label:
        raise DataError(f"the label of a shape is {kind_of(label)}, and a name is expected")
    return label


def _kind(entry: Mapping[str, Any]) -> str:
    """The first files of labelme name no kind: their shapes are polygons."""
    kind = entry.get("shape_type") or "polygon"
    if not isinstance(kind, str):
        raise DataError(f"the kind of a shape is {kind_of(kind)}, and a name is expected")
    return kind


def _shape(entry: Mapping[str, Any], kind: str, size: Size | None) -> Shape | None:
    """What a shape covers; None where that is no area."""
    points = entry.get("points")
    if not isinstance(points, list):
        raise DataError(f"the points of a shape are {kind_of(points)}, and a list is expected")
    if kind in _OUTLINES:
        return polygon(points)
    if kind == "rectangle":
        return box_of(points)
    if kind == "circle":
        if len(points) != 2:
            raise DataError(f"a circle has {len(points)} points, and its centre and a point on it are expected")
        (x, y), (edge_x, edge_y) = map(corner, points)
        radius = math.hypot(edge_x - x, edge_y - y)
        return ellipse((x, y), (radius, radius)) if radius else None
    if kind == "mask":
        if size is None:
            raise DataError("a mask needs imageHeight and imageWidth, which the file does not state")
        left, top, right, bottom = (int(edge) for edge in box_of(points))
        pixels = _decode_mask(entry.get("mask"), (bottom - top + 1, right - left + 1))
        return pasted(pixels, left, top, size)
    raise DataError(f"a shape is of the kind {kind[:40]!r}, which labelme does not have")


def _decode_mask(encoded: object, size: Size) -> NDArray[Any]:
    """Pixels (h, w) of a PNG in base64, of the size that the shape's corners state."""
    if not isinstance(encoded, str):
        raise DataError(f"the pixels of a mask are {kind_of(encoded)}, and a PNG in base64 is expected")
    try:
        image = Image.open(BytesIO(b64decode(encoded)), formats=["PNG"])
        if (image.height, image.width) != size:
            raise DataError(f"a mask has {image.width} x {image.height} pixels, its corners {size[1]} x {size[0]}")
        require_drawable(size)
        return np.asarray(image.convert("L"))
    except (binascii.Error, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"a mask is no PNG in base64 ({error})") from None


def _united(first: ObjectAnnotation, second: ObjectAnnotation, size: Size | None) -> ObjectAnnotation:
    """One object of two shapes."""
    parts = [_region(one) for one in (first, second)]
    outlines = [part for part in parts if isinstance(part, Polygons)]
    if len(outlines) == len(parts):
        return marked(first.label, Polygons(tuple(ring for part in outlines for ring in part.rings)), first.ignored)
    if size is None:
        raise DataError("a mask needs imageHeight and imageWidth, which the file does not state")
    pixels = np.any([draw_region(part, size) for part in parts], axis=0)
    return marked(first.label, encode_region(pixels), first.ignored)


def _region(one: ObjectAnnotation) -> Polygons | RunLengths:
    if isinstance(one.region, Polygons | RunLengths):
        return one.region
    assert one.box is not None  # every shape of labelme has one
    return rectangle(one.box)
