"""YOLO's label files: a line per object, its class and its box or its corners in shares of the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.data.class_file import IGNORED_NAMES
from segkit.data.drawing import draw_region
from segkit.data.formats._outlines import joined, outline
from segkit.errors import DataError
from segkit.structures import ObjectAnnotation, Polygons, RunLengths

MAX_BYTES = 2**26
"""Largest label file that is read."""

_BEYOND = 0.5
"""Coordinates further outside of 0..1 are no shares of an image's size."""

_BOX = 4
_FEWEST_CORNERS = 3


def read_labels(path: Path, names: Mapping[int, str], has_keypoints: bool) -> tuple[ObjectAnnotation, ...]:
    """The objects of one label file, relative to the image's size.

    A line is `class x y w h`, the box by its centre, or `class x1 y1 x2 y2 x3 y3 ...`, the corners of an outline.

    Args:
        path: the file.
        names: class id -> name.
        has_keypoints: what follows a box are keypoints, which are not read.

    Raises:
        DataError: it says why, but not in which file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"more than {MAX_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise DataError("it is no text") from None
    lines = enumerate(text.splitlines(), start=1)
    return tuple(_object(number, line.split(), names, has_keypoints) for number, line in lines if line.strip())


def _object(number: int, cells: list[str], names: Mapping[int, str], has_keypoints: bool) -> ObjectAnnotation:
    try:
        class_, *values = map(float, cells)
    except ValueError:
        raise DataError(f"line {number} is not numbers alone") from None
    if class_ not in names:
        raise DataError(f"line {number} is of the class {cells[0][:20]}, which names does not list")
    if has_keypoints:
        values = values[:_BOX]
    if not all(-_BEYOND <= value <= 1 + _BEYOND for value in values):
        raise DataError(f"line {number} holds coordinates that are no shares of the image's size, 0 to 1")
    label = names[int(class_)]
    ignored = label.lower() in IGNORED_NAMES
    if len(values) == _BOX:
        x, y, width, height = values
        if width < 0 or height < 0:
            raise DataError(f"line {number} holds a box of negative size")
        return ObjectAnnotation(label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2), ignored=ignored)
    if len(values) % 2 or len(values) < 2 * _FEWEST_CORNERS:
        raise DataError(f"line {number} has {len(values)} coordinates; a box has 4, an outline 6 or more in pairs")
    region = Polygons((np.array(values, np.float32).reshape(-1, 2),))
    return ObjectAnnotation(label, region.box, region, ignored)


def label_lines(
    objects: Iterable[ObjectAnnotation], numbers: Mapping[str, int], size: tuple[int, int], with_outlines: bool
) -> Iterator[str]:
    """Lines of a label file.

    Args:
        objects: in pixels, with boxes.
        numbers: label -> class.
        size: (H, W) of the image.
        with_outlines: regions are written, those without one as boxes.
    """
    height, width = size
    for one in objects:
        assert one.box is not None
        left, top, right, bottom = one.box
        values = [
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        ]
        if with_outlines and isinstance(one.region, Polygons | RunLengths):
            ring = _one_ring(one.region, size)
            values = [] if ring is None else (ring / np.array([width, height], np.float64)).ravel().tolist()
        if values:
            yield " ".join([str(numbers[one.label]), *(f"{value:.9g}" for value in values)])


def _one_ring(region: Polygons | RunLengths, size: tuple[int, int]) -> NDArray[np.float32] | None:
    """The corners of one outline that encloses the region's pixels, None where it has none."""
    if isinstance(region, Polygons):
        if len(region.rings) == 1:
            return region.rings[0]
        ring = joined(region.rings)
        if np.array_equal(draw_region(Polygons((ring,)), size), draw_region(region, size)):
            return ring
    return outline(draw_region(region, size))
