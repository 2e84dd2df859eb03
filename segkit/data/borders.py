"""Objects that touch, as classes that tell them apart: the inside of each, and the border that surrounds it.

A border between inside and background separates what touches, and a watershed from the insides grows the objects again
(Caicedo et al., Evaluation of deep learning strategies for nucleus segmentation in fluorescence images, 2019). It runs
all around an object, so that every object teaches it and not those alone that touch.
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

NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
"""A pixel and those that the watershed reaches in one step: it grows over a border in as many as the border is wide."""


def draw_cells(instances: Instances, border: int) -> NDArray[np.int64]:
    """(H, W) class index of each pixel: 0 background, the class inside an object, `border` in its outermost pixels.

    An object too small for a border of one pixel has none. Ids of `IGNORE_INDEX` stay so, and make no border; nor does
    the edge of the image.

    Args:
        instances: ids of up to 2**24, which is as far as float32 counts.
        border: index of the border, one more than the last class.
    """
    ids, count = instances.ids, len(instances.labels) + 1
    classes = np.concatenate([[0], instances.labels, [IGNORE_INDEX]])  # ids of -1 index the last entry
    cells: NDArray[np.int64] = classes[ids].astype(np.int64)
    objects = ids.clip(0)
    least = LEAST_INSIDE * np.bincount(objects.ravel(), minlength=count)
    without_border = np.ones(count, np.bool_)
    without_border[0] = False
    for width in WIDTHS:
        edge = _edge(ids, width)
        inside = np.bincount(objects[~edge], minlength=count)
        fitting = without_border & (inside >= least)
        cells[edge & fitting[objects]] = border
        without_border &= ~fitting
    return cells


def _edge(ids: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """Whether another id that counts lies within `width` steps to neighbours."""
    counted = ids != IGNORE_INDEX
    highest, lowest = ids.astype(np.float32), np.where(counted, ids, np.inf).astype(np.float32)
    return np.asarray(
        cv2.dilate(highest, NEIGHBOURS, iterations=width) > cv2.erode(lowest, NEIGHBOURS, iterations=width)
    )
