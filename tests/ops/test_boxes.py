"""Boxes against torchvision, and against answers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision

from segkit.ops.boxes import box_areas, box_iou, boxes_of_ids, centers_inside, clip_boxes, has_area, suppress


def random_boxes(count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 200, (count, 2))
    return np.concatenate([corners, corners + generator.uniform(1, 60, (count, 2))], axis=1).astype(np.float32)


def test_intersections_over_union_equal_torchvision() -> None:
    boxes, others = random_boxes(40, 0), random_boxes(30, 1)
    expected = torchvision.ops.box_iou(torch.from_numpy(boxes), torch.from_numpy(others)).numpy()
    np.testing.assert_allclose(box_iou(boxes, others), expected, atol=1e-6)
    nothing = np.zeros((1, 4), np.float32)
    assert box_iou(nothing, nothing) == 0


@pytest.mark.parametrize("overlap", [0.3, 0.6])
def test_suppression_equals_torchvision(overlap: float) -> None:
    generator = np.random.default_rng(2)
    boxes, scores, labels = (
        random_boxes(400, 2),
        generator.random(400).astype(np.float32),
        generator.integers(3, size=400),
    )
    expected = torchvision.ops.batched_nms(*(torch.from_numpy(x) for x in (boxes, scores, labels)), overlap).numpy()
    np.testing.assert_array_equal(suppress(boxes, scores, labels, overlap), expected)


def test_of_equal_scores_the_first_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    assert suppress(boxes, np.full(3, 0.5), np.zeros(3, int), 0.5).tolist() == [0, 2]
    assert suppress(boxes[:0], np.empty(0), np.empty(0), 0.5).tolist() == []


def test_cutting_and_middles_by_hand() -> None:
    boxes = np.array([[-5, 2, 5, 30], [90, 0, 120, 4], [200, 0, 210, 4]], np.float32)
    clipped = clip_boxes(boxes, (20, 100))
    assert clipped.tolist() == [[0, 2, 5, 20], [90, 0, 100, 4], [100, 0, 100, 4]]
    assert box_areas(clipped).tolist() == [90, 40, 0]
    assert has_area(clipped).tolist() == [True, True, False]
    assert centers_inside(boxes, (20, 100)).tolist() == [True, False, False]


def test_boxes_of_objects_by_hand() -> None:
    ids = np.zeros((9, 9), np.int32)
    ids[2:5, 3:7], ids[8, 8] = 1, 3
    ids[0, 0] = -1
    assert boxes_of_ids(ids, 3).tolist() == [[3, 2, 7, 5], [0, 0, 0, 0], [8, 8, 9, 9]]
