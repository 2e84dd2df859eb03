"""Boxes: (M, 4) left, top, right and bottom, where pixel (row, column) covers column..column + 1 and row..row + 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BoxArray = NDArray[np.float32]


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
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = (bottom_right - top_left).clip(min=0)
    intersection = sides[..., 0] * sides[..., 1]
    union = box_areas(boxes)[:, None] + box_areas(others)[None] - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0))


def suppress(boxes: BoxArray, scores: NDArray[Any], labels: NDArray[Any], overlap: float) -> NDArray[np.intp]:
    """Non-maximum suppression class by class: the rows that stay, the highest score first, of equals the lower row.

    A box goes when one of its class with a higher score that stays has an intersection over union above `overlap`.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        same = labels[rest] == labels[best]
        covered = box_iou(boxes[best][None], boxes[rest])[0] > overlap
        order = rest[~(same & covered)]
    return np.array(kept, np.intp)


def boxes_of_ids(ids: NDArray[np.int32], count: int) -> BoxArray:
    """(count, 4) smallest boxes of the objects 1..count in an image (H, W) of ids; no area where one has no pixel."""
    boxes = np.zeros((count, 4), np.float32)
    rows, columns = np.nonzero(ids > 0)
    objects = ids[rows, columns] - 1
    for side, values, joined in (
        (0, columns, np.minimum),
        (1, rows, np.minimum),
        (2, columns, np.maximum),
        (3, rows, np.maximum),
    ):
        found = np.full(count, np.inf if joined is np.minimum else -1.0)
        joined.at(found, objects, values)
        boxes[:, side] = np.where(np.isfinite(found), found, 0) + (joined is np.maximum)
    return boxes
