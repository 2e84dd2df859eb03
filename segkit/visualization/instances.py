"""Objects drawn on an image, neighbours in different colours."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.visualization.display import to_display
from segkit.visualization.labels import letter_size, write_numbers
from segkit.visualization.overlay import outline_width, region_edges

COLORS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    np.uint8,
)
"""Told apart by colour-blind people as well (Okabe and Ito, Color Universal Design, 2008)."""

_SHOWN_SIDE = 560
_GAP = 12
_NEAR = (1, 3, 6)
"""Objects that have pixels so far apart are neighbours."""

_SMALLEST_NUMBERS = 8

Ids = NDArray[np.integer[Any]]


def draw_instances(image: NDArray[Any], ids: Ids, opacity: float = 0.4, numbers: bool = False) -> NDArray[np.uint8]:
    """An RGB picture of an image with every object filled and outlined, in another colour than its neighbours.

    Args:
        image: (H, W) or (H, W, C) of any type.
        ids: (H, W) 0 no object, 1..M the objects; below 0 not counted.
        opacity: of the filling, 0 to 1.
        numbers: whether the ids are written on the objects.
    """
    picture = to_display(image)
    colors = COLORS[neighbour_colors(ids)[ids.clip(0)]]
    objects = ids > 0
    drawn = np.where(objects[..., None], cv2.addWeighted(picture, 1 - opacity, colors, opacity, 0), picture)
    edge = objects & region_edges(ids, outline_width(ids.shape))
    drawn[edge] = colors[edge]
    return _with_numbers(drawn, ids) if numbers else drawn


def instances_side_by_side(image: NDArray[Any], reference: Ids, ids: Ids) -> NDArray[np.uint8]:
    """The marked objects and the predicted ones on the same image, beside each other."""
    height, width = image.shape[:2]
    scale = _SHOWN_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(to_display(image), size, interpolation=method), np.uint8)
    drawn = [
        draw_instances(small, cv2.resize(map_.astype(np.float32), size, interpolation=cv2.INTER_NEAREST).astype(int))
        for map_ in (reference, ids)
    ]
    return np.concatenate([drawn[0], np.full((size[1], _GAP, 3), 255, np.uint8), drawn[1]], axis=1)


def neighbour_colors(ids: Ids) -> NDArray[np.intp]:
    """(M + 1,) indices of `COLORS`: no two objects near each other share one while there are enough.

    Objects that have neighbours take, in their order, the colour that these use least.
    """
    count = int(ids.max(initial=0))
    neighbours: dict[int, list[int]] = {}
    for one, other in sorted(_neighbours(ids)):
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    colors = np.arange(count + 1) % len(COLORS)
    taken: dict[int, int] = {}
    for number in sorted(neighbours):
        used = [taken[other] for other in neighbours[number] if other in taken]
        uses = np.bincount(used, minlength=len(COLORS))
        preferred = (number + np.arange(len(COLORS))) % len(COLORS)
        taken[number] = int(preferred[uses[preferred].argmin()])
        colors[number] = taken[number]
    return colors


def _neighbours(ids: Ids) -> list[tuple[int, int]]:
    """Pairs of objects that have pixels near each other, in one row, column or diagonal."""
    pairs = np.empty((0, 2), np.int64)
    for far in _NEAR:
        for one, other in (
            (ids[:-far], ids[far:]),
            (ids[:, :-far], ids[:, far:]),
            (ids[:-far, :-far], ids[far:, far:]),
            (ids[:-far, far:], ids[far:, :-far]),
        ):
            meet = (one != other) & (one > 0) & (other > 0)
            pairs = np.unique(np.vstack([pairs, np.stack([one[meet], other[meet]], axis=1)]), axis=0)
    return [(one, other) for one, other in pairs.tolist()]


def _with_numbers(picture: NDArray[np.uint8], ids: Ids) -> NDArray[np.uint8]:
    """The ids where their objects are thickest, in letters that fit most of them."""
    from scipy import ndimage

    numbers, radii = [], [0.0]
    for number, place in enumerate(ndimage.find_objects(ids.clip(0).astype(np.int32)), start=1):
        if place is not None:
            inside = np.pad((ids[place] == number).astype(np.uint8), 1)
            depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
            row, column = np.unravel_index(int(depth.argmax()), depth.shape)
            numbers.append((number, place[1].start + float(column) - 0.5, place[0].start + float(row) - 0.5))
            radii.append(float(depth.max()))
    letters = max(_SMALLEST_NUMBERS, min(letter_size(ids.shape), round(float(np.median(radii)) * 1.6)))
    return write_numbers(picture, numbers, letters)
