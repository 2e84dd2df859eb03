"""How much of a result is another result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segkit.inference.results import (
    ClassificationResult,
    DetectionResult,
    InstanceResult,
    Result,
    SegmentationResult,
)
from segkit.ops.boxes import box_iou

SAME_BOX = 0.9
"""Intersection over union from which two boxes of a class are one."""


def changed(before: Result, after: Result, threshold: float) -> tuple[int, int]:
    """How many of the pixels, boxes or images have another result, and of how many.

    A pixel changed where its class did, or where it belongs to another object; a box where the other result has none of
    its class in its place, however unsure.

    Args:
        before: what one network says of an image.
        after: what the other says of it.
        threshold: score from which boxes are shown, which are those that count.
    """
    match before, after:
        case SegmentationResult(), SegmentationResult():
            return int((before.mask != after.mask).sum()), before.mask.size
        case InstanceResult(), InstanceResult():
            return before.ids.size - _pixels_of_same_objects(before, after), before.ids.size
        case DetectionResult(), DetectionResult():
            shown = before.above(threshold), after.above(threshold)
            lacking = _without_partner(shown[0], after) + _without_partner(shown[1], before)
            return lacking, len(shown[0]) + len(shown[1])
        case ClassificationResult(), ClassificationResult():
            return int(before.label != after.label), 1
    raise TypeError(f"results of {type(before).__name__} and {type(after).__name__} cannot be compared")


def _pixels_of_same_objects(before: InstanceResult, after: InstanceResult) -> int:
    """Pixels of no object in both, or of two objects of one class each of which shares most pixels with the other."""
    pairs, counts = np.unique(np.stack([before.ids.ravel(), after.ids.ravel()]), axis=1, return_counts=True)
    ids, others = pairs
    mutual = (counts == _largest(ids, counts)) & (counts == _largest(others, counts)) & (ids > 0) & (others > 0)
    labels = np.append(-1, before.labels)[ids], np.append(-1, after.labels)[others]
    return int(counts[(mutual & (labels[0] == labels[1])) | ((ids == 0) & (others == 0))].sum())


def _largest(ids: NDArray[np.int32], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest count of the pairs of each id, for every pair."""
    most = np.zeros(ids.max(initial=0) + 1, np.int64)
    np.maximum.at(most, ids, counts)
    return most[ids]


def _without_partner(shown: DetectionResult, others: DetectionResult) -> int:
    """How many boxes have none of their class in their place."""
    same = (box_iou(shown.corners, others.corners) >= SAME_BOX) & (shown.labels[:, None] == others.labels[None])
    return int((~same.any(axis=1)).sum())
