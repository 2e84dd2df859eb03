"""Objects that touch, as classes that tell them apart: inside, and the border that surrounds each.

Caicedo et al., Nucleus segmentation across imaging experiments, Nature Methods 2019, supplementary note: a border class
between inside and background separates what touches, and a watershed from the insides grows the objects again.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.structures import IGNORE_INDEX, Instances

WIDTHS = (2, 1)
"""Pixels of an object that its border takes; the next where too little of a small object would be left."""

LEAST_INSIDE = 0.25
"""Share of an object that stays inside."""


def draw_cells(instances: Instances, border: int) -> NDArray[np.int64]:
    """(H, W) class index of each pixel: 0 background, the class inside an object, `border` in its outermost pixels.

    An object too small for a border of one pixel has none. Ids of `IGNORE_INDEX` stay so.

    Args:
        instances: ids of up to 2**24, which is as far as float32 counts.
        border: index of the border, one more than the last class.
    """
    ids = instances.ids
    classes = np.concatenate([[0], instances.labels, [IGNORE_INDEX]])  # ids of -1 index the last entry
    cells: NDArray[np.int64] = classes[ids].astype(np.int64)
    count = len(instances.labels) + 1
    objects = ids.clip(0)
    areas = np.bincount(objects.ravel(), minlength=count)
    without_border = areas > 0
    without_border[0] = False
    for width in WIDTHS:
        edge = _edge(ids, width)
        inside = np.bincount(objects[~edge], minlength=count)
        fitting = without_border & (inside >= LEAST_INSIDE * areas)
        cells[edge & fitting[objects]] = border
        without_border &= ~fitting
    return cells


def _edge(ids: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """Whether another id lies within `width` pixels, diagonally as well; the image's own border is none."""
    values, kernel = ids.astype(np.float32), np.ones((2 * width + 1,) * 2, np.uint8)
    return np.asarray(cv2.dilate(values, kernel) != cv2.erode(values, kernel))
