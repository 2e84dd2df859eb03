"""What counts as another result, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segkit.export.difference import changed
from segkit.inference.results import ClassificationResult, DetectionResult, InstanceResult, SegmentationResult
from segkit.structures import ClassMap

CLASSES = ClassMap(("a", "b"))


def objects(ids: list[list[int]], labels: list[int]) -> InstanceResult:
    scores = np.ones(len(labels), np.float32)
    return InstanceResult(np.array(ids, np.int32), np.array(labels, np.int64), scores, CLASSES)


def boxes(*rows: tuple[float, ...]) -> DetectionResult:
    """Rows of left, top, right, bottom, label and score."""
    values = np.array(rows, np.float32).reshape(-1, 6)
    return DetectionResult(values[:, :4], values[:, 4].astype(np.int64), values[:, 5], CLASSES, (100, 100))


def test_pixels_of_another_class() -> None:
    before, after = (SegmentationResult(np.array(mask, np.uint8), CLASSES) for mask in ([[0, 1, 1]], [[0, 1, 0]]))
    assert changed(before, after, 0.5) == (1, 3)


@pytest.mark.parametrize(
    ("before", "after", "pixels"),
    [
        (([[1, 1, 0, 2]], [0, 1]), ([[2, 2, 0, 1]], [1, 0]), 0),  # numbered otherwise
        (([[1, 1, 0, 2]], [0, 1]), ([[2, 2, 0, 1]], [0, 0]), 1),  # the second of another class
        (([[1, 1, 1, 0]], [0]), ([[1, 1, 0, 0]], [0]), 1),  # one pixel less
        (([[1, 1, 1, 1]], [0]), ([[1, 1, 1, 2]], [0, 0]), 1),  # cut in two: the larger part is still it
        (([[1, 1, 0, 0]], [0]), ([[0, 0, 1, 1]], [0]), 4),  # elsewhere
        (([[0, 0, 0, 0]], []), ([[0, 0, 0, 0]], []), 0),
        (([[0, 0, 0, 0]], []), ([[0, 1, 1, 0]], [0]), 2),
    ],
)
def test_pixels_of_another_object(before: Any, after: Any, pixels: int) -> None:
    first, second = objects(*before), objects(*after)
    assert changed(first, second, 0.5) == (pixels, 4)
    assert changed(second, first, 0.5) == (pixels, 4)


def test_boxes_without_a_partner() -> None:
    one, moved = (0, 0, 10, 10, 0, 0.9), (0, 0, 10, 10.5, 0, 0.9)
    assert changed(boxes(one), boxes(moved), 0.5) == (0, 2)
    assert changed(boxes(one), boxes((5, 0, 15, 10, 0, 0.9)), 0.5) == (2, 2)
    assert changed(boxes(one), boxes((0, 0, 10, 10, 1, 0.9)), 0.5) == (2, 2)
    # A score that crosses the threshold by a hair is no other box: it stands in both, sure or not.
    assert changed(boxes((0, 0, 10, 10, 0, 0.51)), boxes((0, 0, 10, 10, 0, 0.49)), 0.5) == (0, 1)
    assert changed(boxes(one), boxes(), 0.5) == (1, 1)
    assert changed(boxes(), boxes(), 0.5) == (0, 0)


def test_images_of_another_class() -> None:
    sure, unsure, other = (
        ClassificationResult(np.array(shares, np.float32), ("a", "b"))
        for shares in ((0.9, 0.1), (0.6, 0.4), (0.4, 0.6))
    )
    assert changed(sure, unsure, 0.5) == (0, 1)
    assert changed(sure, other, 0.5) == (1, 1)


def test_results_of_two_tasks_are_not_compared() -> None:
    with pytest.raises(TypeError, match="DetectionResult and ClassificationResult cannot be compared"):
        changed(boxes(), ClassificationResult(np.ones(1, np.float32), ("a",)), 0.5)
