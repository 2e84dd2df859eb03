"""Shapes that people draw in annotation tools, checked and turned into regions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.drawing import encode_region
from segkit.data.readers._base import MAX_PIXELS
from segkit.errors import DataError
from segkit.structures import Box, Polygons, RunLengths

MAX_COORDINATE = 2.0**24
"""Beyond it float32 no longer tells neighbouring pixels apart."""

MAX_DRAWN_PIXELS = 2**27
"""Largest image whose regions are stored pixel by pixel."""


def number(value: object, what: str) -> float:
    """A finite number, given as such or as text; raises `DataError` that calls it `what`."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not abs(found) <= MAX_COORDINATE:
        raise DataError(f"{what} is {str(value)[:40]!r}, and a number up to {MAX_COORDINATE:,.0f} is expected")
    return found


def corner(point: Sequence[object]) -> tuple[float, float]:
    """x and y of a corner; raises `DataError` for anything but two numbers."""
    if not isinstance(point, list | tuple) or len(point) != 2:
        raise DataError(f"a corner is {str(point)[:40]!r}, and two numbers are expected")
    return number(point[0], "a corner's x"), number(point[1], "a corner's y")


def image_size(height: object, width: object) -> tuple[int, int]:
    """(H, W) of an image as its annotation states it; raises `DataError` where that can be no size."""
    found = number(height, "the image's height"), number(width, "the image's width")
    if any(side < 1 or side != int(side) for side in found) or found[0] * found[1] > MAX_PIXELS:
        raise DataError(f"the image's size is stated as {width} x {height}; no image that can be read has it")
    return int(found[0]), int(found[1])


def polygon(points: Iterable[Sequence[object]]) -> Polygons | None:
    """The region inside a closed outline; None where fewer than three corners enclose nothing.

    Raises `DataError` for a corner that is no pair of numbers.
    """
    corners = [corner(point) for point in points]
    return None if len(corners) < 3 else Polygons((np.array(corners, np.float32),))


def rectangle(box: Box, degrees: float = 0.0, about: tuple[float, float] | None = None) -> Polygons:
    """A rectangle, turned clockwise by `degrees` about a point, its centre where none is given."""
    left, top, right, bottom = box
    centre = about or ((left + right) / 2, (top + bottom) / 2)
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    return Polygons((_turned(corners, degrees, centre),))


def ellipse(centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0) -> Polygons:
    """An ellipse of two radii, turned clockwise by `degrees`, as a polygon that stays within 0.05 pixels of it."""
    largest = max(*map(abs, radii), 1.0)
    count = max(16, math.ceil(math.pi / math.acos(1 - 0.05 / largest)))
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    corners = np.array(centre) + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii
    return Polygons((_turned(corners, degrees, centre),))


def box_of(points: Sequence[Sequence[object]]) -> Box:
    """The box between two opposite corners, or around all four; raises `DataError` for anything else."""
    if len(points) not in (2, 4):
        raise DataError(f"a rectangle has {len(points)} corners, and two opposite ones, or four, are expected")
    across, down = zip(*map(corner, points), strict=True)
    return min(across), min(down), max(across), max(down)


def pasted(pixels: NDArray[Any], left: int, top: int, size: tuple[int, int]) -> RunLengths | None:
    """The region of a cut-out's pixels (h, w) that are not 0, its upper left corner at (left, top) of the image.

    What lies beyond the image of `size` (H, W) is cut off; None where nothing is left. Raises `DataError` for images
    above `MAX_DRAWN_PIXELS`.
    """
    require_drawable(size)
    whole = np.zeros(size, np.bool_)
    inside = pixels[max(-top, 0) : max(size[0] - top, 0), max(-left, 0) : max(size[1] - left, 0)]
    rows, columns = max(top, 0), max(left, 0)
    whole[rows : rows + inside.shape[0], columns : columns + inside.shape[1]] = inside != 0
    return encode_region(whole) if whole.any() else None


def unpacked(runs: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Pixels (height, width) from the lengths of runs, row by row, the first of them off; raises `DataError`."""
    require_drawable((height, width))
    if sum(runs) != height * width or min(runs, default=0) < 0:
        raise DataError(f"the runs of a mask add up to {sum(runs):,} pixels, and it has {width} x {height}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(height, width)


def require_drawable(size: tuple[int, int]) -> None:
    """Raise `DataError` where an image is too large for regions that are stored pixel by pixel."""
    if size[0] * size[1] > MAX_DRAWN_PIXELS:
        raise DataError(f"masks are read up to {MAX_DRAWN_PIXELS:,} pixels, and the image has {size[1]} x {size[0]}")


def _turned(corners: NDArray[np.float64], degrees: float, about: tuple[float, float]) -> NDArray[np.float32]:
    """Clockwise as one sees it: y points down."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return ((corners - about) @ turn + about).astype(np.float32)
