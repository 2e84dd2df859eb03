"""Exact outlines of masks: rings along the sides of pixels, holes included. No torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""(n, 2) x and y of corners, where pixel (row, column) covers column..column + 1 and row..row + 1; not closed."""

# The four pixels around a corner as bits.
_UPPER_LEFT, _UPPER_RIGHT, _LOWER_LEFT, _LOWER_RIGHT = 1, 2, 4, 8
_DIAGONAL = np.isin(np.arange(16), (_UPPER_LEFT | _LOWER_RIGHT, _UPPER_RIGHT | _LOWER_LEFT))
_TURN = np.isin(np.arange(16), (1, 2, 4, 7, 8, 11, 13, 14))
_GOES_RIGHT = np.isin(np.arange(16), (2, 8, 7, 13))
_GOES_DOWN = np.isin(np.arange(16), (4, 8, 7, 11))


class Outline(NamedTuple):
    """One connected part of a mask: the area inside its outer ring and outside its holes.

    As RFC 7946 (GeoJSON) wants it, the exterior is counter-clockwise by its numbers and the holes are clockwise; on a
    screen, where y points down, it looks the other way round. No ring passes a corner twice, and no corner lies on a
    straight line.
    """

    exterior: Ring
    holes: tuple[Ring, ...]


class _Corners(NamedTuple):
    """Where outlines turn, (n,) each, from top to bottom and left to right; two of them where pixels touch at a corner.

    A corner has one horizontal side, to its right or left, and one vertical side, down or up.
    """

    x: NDArray[np.intp]
    y: NDArray[np.intp]
    goes_right: NDArray[np.bool_]
    goes_down: NDArray[np.bool_]


def outlines(mask: NDArray[Any]) -> list[Outline]:
    """The outlines of a mask (H, W), one per part whose pixels share sides, in the order of their first corners.

    A pixel is inside an outline when its middle is, so filling the rings by the even-odd rule gives the mask again.
    """
    _, parts = cv2.connectedComponents((mask != 0).astype(np.uint8), connectivity=4)
    parts = np.pad(parts, 1)
    corners = _find_corners(parts)
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring in _trace(corners):
        left, top = int(corners.x[ring[0]]), int(corners.y[ring[0]])
        points = np.stack([corners.x[ring], corners.y[ring]], axis=1).astype(np.float64)
        inside, above = int(parts[top + 1, left + 1]), int(parts[top, left + 1])
        if inside:
            exteriors[inside] = points
        else:
            holes.setdefault(above, []).append(np.roll(points[::-1], 1, axis=0))
    return [Outline(exterior, tuple(holes.get(part, ()))) for part, exterior in exteriors.items()]


def ring_area(ring: Ring) -> float:
    """The area that a ring encloses, positive for exteriors, negative for holes."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _find_corners(parts: NDArray[np.int32]) -> _Corners:
    """The corners of the numbered parts, which have a border of 0 around them."""
    filled = (parts > 0).astype(np.uint8)
    around = filled[:-1, :-1] | filled[:-1, 1:] << 1 | filled[1:, :-1] << 2 | filled[1:, 1:] << 3
    y, x = np.nonzero(_TURN[around])
    kinds = around[y, x]
    single = _Corners(x, y, _GOES_RIGHT[kinds], _GOES_DOWN[kinds])
    y, x = np.nonzero(_DIAGONAL[around])
    falling = around[y, x] == _UPPER_LEFT | _LOWER_RIGHT
    one = parts[y, x + np.where(falling, 0, 1)]
    other = parts[y + 1, x + np.where(falling, 1, 0)]
    # Pixels of one part stay together there, and what they enclose is a hole of its own; two parts stay apart. So no
    # ring meets itself.
    level = falling == (one != other)  # the corner that goes right goes down, the other left and up
    yes = np.ones(len(x), np.bool_)
    pair = (_Corners(x, y, yes, level), _Corners(x, y, ~yes, ~level))
    return _in_order(single, *pair)


def _in_order(*several: _Corners) -> _Corners:
    """All corners from top to bottom, left to right."""
    x, y, goes_right, goes_down = (np.concatenate(values) for values in zip(*several, strict=True))
    order = np.lexsort((goes_right, x, y))
    return _Corners(x[order], y[order], goes_right[order], goes_down[order])


def _trace(corners: _Corners) -> list[list[int]]:
    """The corners of each ring in their order, from its first one to the right.

    Along a line of the grid sides begin and end in turn, so neighbours in that order are the two ends of one side.
    """
    across = _other_ends(np.arange(len(corners.x)))
    down = _other_ends(np.lexsort((corners.goes_down, corners.y, corners.x)))
    seen = bytearray(len(across))
    rings = []
    for first in range(len(across)):
        if seen[first]:
            continue
        ring, at = [], first
        while not seen[at]:
            to = across[at]
            seen[at] = seen[to] = 1
            ring += [at, to]
            at = down[to]
        rings.append(ring)
    return rings


def _other_ends(order: NDArray[np.intp]) -> list[int]:
    ends = np.empty_like(order)
    ends[order[::2]], ends[order[1::2]] = order[1::2], order[::2]
    found: list[int] = ends.tolist()
    return found
