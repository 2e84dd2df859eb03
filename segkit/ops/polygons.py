"""Exact outlines of masks: rings along the sides of pixels, holes included. No torch."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""(n, 2) x and y of corners, where pixel (row, column) covers column..column + 1 and row..row + 1; not closed."""


class Outline(NamedTuple):
    """One connected part of a mask: what its outer ring encloses, without what the others do."""

    exterior: Ring
    holes: tuple[Ring, ...]


def outlines(mask: NDArray[Any]) -> list[Outline]:
    """The outlines of a mask (H, W), one per part whose pixels share sides.

    A pixel is inside an outline when its middle is, so filling the rings by the even-odd rule gives the mask again.
    """
    count, parts = cv2.connectedComponents((mask != 0).astype(np.uint8), connectivity=4)
    boxes = _bounding_boxes(parts, count)
    found = []
    for part in range(1, count):
        top, left, bottom, right = boxes[part]
        rings = _rings(parts[top:bottom, left:right] == part)
        shifted = [ring + np.array([left, top]) for ring in rings]
        exterior, *holes = sorted(shifted, key=lambda ring: -abs(ring_area(ring)))
        found.append(Outline(exterior, tuple(holes)))
    return found


def ring_area(ring: Ring) -> float:
    """The area that a ring encloses, positive where it runs clockwise as seen (the y axis points down)."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _bounding_boxes(parts: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """(count, 4) top, left, bottom and right of each part."""
    rows, columns = np.nonzero(parts)
    numbers = parts[rows, columns]
    boxes = np.zeros((count, 4), np.int64)
    boxes[:, :2] = max(parts.shape)
    np.minimum.at(boxes[:, 0], numbers, rows)
    np.minimum.at(boxes[:, 1], numbers, columns)
    np.maximum.at(boxes[:, 2], numbers, rows + 1)
    np.maximum.at(boxes[:, 3], numbers, columns + 1)
    return boxes


def _rings(part: NDArray[np.bool_]) -> list[Ring]:
    """The rings around one part, each with the part on its right hand, so that the outer one runs clockwise as seen."""
    padded = np.pad(part, 1).astype(np.int8)
    starts: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    down, across = np.diff(padded, axis=0), np.diff(padded, axis=1)
    for (row, column), step in _nonzero(down):  # a side above a pixel runs to the right, one below it to the left
        one, other = (column - 1, row), (column, row)
        starts[one if step > 0 else other].append(other if step > 0 else one)
    for (row, column), step in _nonzero(across):  # a side left of a pixel runs up, one right of it down
        one, other = (column, row - 1), (column, row)
        starts[other if step > 0 else one].append(one if step > 0 else other)
    rings = []
    while starts:
        first = next(iter(starts))
        ring, at, direction = [first], first, (0, 0)
        while True:
            following = _turn(at, direction, starts)
            direction = following[0] - at[0], following[1] - at[1]
            at = following
            if at == first:
                break
            ring.append(at)
        rings.append(_corners(np.array(ring, np.float64)))
    return rings


def _nonzero(steps: NDArray[np.int8]) -> list[tuple[tuple[int, int], int]]:
    rows, columns = np.nonzero(steps)
    return [((int(r), int(c)), int(s)) for r, c, s in zip(rows, columns, steps[rows, columns], strict=True)]


def _turn(
    at: tuple[int, int],
    direction: tuple[int, int],
    starts: defaultdict[tuple[int, int], list[tuple[int, int]]],
) -> tuple[int, int]:
    """The next corner, taken out of `starts`: where pixels touch at a corner only, the sharpest turn to the right.

    So the two stay apart, as parts whose pixels share sides do.
    """
    choices = starts[at]
    chosen = choices[0]
    if len(choices) > 1 and direction != (0, 0):
        right = (at[0] - direction[1], at[1] + direction[0])
        chosen = right if right in choices else choices[0]
    choices.remove(chosen)
    if not choices:
        del starts[at]
    return chosen


def _corners(ring: Ring) -> Ring:
    """The ring without points on straight lines."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[(before != after).any(axis=1)]
