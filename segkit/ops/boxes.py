"""Boxes: (M, 4) left, top, right and bottom, where pixel (row, column) covers column..column + 1 and row..row + 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

BoxArray = NDArray[np.float32]

_BLOCK = 64
"""Boxes that are compared with all less sure ones at once."""


def box_areas(boxes: BoxArray) -> BoxArray:
    """(M,) square pixels; 0 where right or bottom lie before left or top."""
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(min=0)
    return sides[:, 0] * sides[:, 1]


def has_area(boxes: BoxArray) -> NDArray[np.bool_]:
    """(M,) whether boxes enclose anything."""
    return np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def clip_boxes(boxes: BoxArray, size: tuple[int, int]) -> BoxArray:
    """Boxes cut to an image of `size` (H, W); those outside lose their area."""
    height, width = size
    return boxes.clip(0, np.array([width, height, width, height], np.float32))


def centers_inside(boxes: BoxArray, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(M,) whether the middle of a box lies in an image of `size` (H, W)."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(((middle >= 0) & (middle < np.array(size[::-1]))).all(axis=1))


def box_iou(boxes: BoxArray, others: BoxArray) -> BoxArray:
    """(M, N) intersection over union, 0 where both have no area."""
    widths, heights = (
        np.minimum(boxes[:, None, end], others[None, :, end])
        - np.maximum(boxes[:, None, start], others[None, :, start])
        for start, end in ((0, 2), (1, 3))
    )
    intersection = widths.clip(min=0) * heights.clip(min=0)
    union = box_areas(boxes)[:, None] + box_areas(others)[None] - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0))


def nms(boxes: BoxArray, scores: NDArray[Any], labels: NDArray[Any], overlap: float) -> NDArray[np.intp]:
    """Non-maximum suppression class by class: the rows that stay, the highest score first, of equals the lower row.

    A box goes where one of its class that stays and comes before it has an intersection over union above `overlap`.
    """
    order = np.argsort(-scores, kind="stable")
    stays = np.zeros(len(order), np.bool_)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels[order] == label)
        stays[of_class] = _unrivalled(boxes[order[of_class]], overlap)
    return order[stays]


def _unrivalled(boxes: BoxArray, overlap: float) -> NDArray[np.bool_]:
    """(M,) which of the boxes of one class stay, the surest being the first."""
    stays = np.ones(len(boxes), np.bool_)
    for start in range(0, len(boxes), _BLOCK):
        block = start + np.flatnonzero(stays[start : start + _BLOCK])
        covered = box_iou(boxes[block], boxes[start:]) > overlap
        for index, covers in zip(block, covered, strict=True):
            if stays[index]:
                stays[index + 1 :] &= ~covers[index + 1 - start :]
    return stays


def boxes_of_ids(ids: NDArray[np.int32], count: int) -> BoxArray:
    """(count, 4) smallest boxes of the objects 1..count in an image (H, W) of ids; no area where one has no pixel."""
    boxes = np.zeros((count, 4), np.float32)
    for box, found in zip(boxes, find_objects(ids, count) if count else (), strict=True):
        if found is not None:
            rows, columns = found
            box[:] = columns.start, rows.start, columns.stop, rows.stop
    return boxes
