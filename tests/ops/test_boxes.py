"""Boxes as torchvision knows them: areas, overlaps, and which of many stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision import ops

from segkit.ops.boxes import box_areas, box_iou, boxes_of_ids, centers_inside, clip_boxes, has_area, nms

Boxes = NDArray[np.float32]


def random_boxes(count: int, seed: int, side: float = 60, spread: float = 200) -> Boxes:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, spread, (count, 2))
    return np.concatenate([corners, corners + random.uniform(0, side, (count, 2))], axis=1).astype(np.float32)


def torchvision_nms(boxes: Boxes, scores: NDArray[Any], labels: NDArray[np.int64], overlap: float) -> list[int]:
    tensors = (torch.from_numpy(array) for array in (boxes, scores, labels))
    kept: list[int] = ops.batched_nms(*tensors, overlap).tolist()
    return kept


def test_areas_and_overlaps_are_torchvisions() -> None:
    boxes, others = random_boxes(50, 0), random_boxes(70, 1)
    boxes[0] = [5, 5, 5, 9]
    found = ops.box_iou(torch.from_numpy(boxes), torch.from_numpy(others)).numpy()
    np.testing.assert_array_equal(box_iou(boxes, others), found)
    np.testing.assert_array_equal(box_areas(boxes), ops.box_area(torch.from_numpy(boxes)).numpy())


def test_boxes_without_area_overlap_nothing() -> None:
    nothing: Boxes = np.array([[3, 3, 3, 3], [9, 9, 4, 4]], np.float32)
    assert box_iou(nothing, nothing).tolist() == [[0, 0], [0, 0]]
    assert box_areas(nothing).tolist() == [0, 0]
    assert has_area(nothing).tolist() == [False, False]


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 700])
def test_the_boxes_that_stay_are_torchvisions(count: int, overlap: float) -> None:
    random = np.random.default_rng(count)
    boxes, labels = random_boxes(count, count), random.integers(0, 3, count)
    scores = random.permutation(count).astype(np.float32) / max(count, 1)
    assert nms(boxes, scores, labels, overlap).tolist() == torchvision_nms(boxes, scores, labels, overlap)


@pytest.mark.parametrize("seed", range(5))
def test_of_equal_scores_the_lower_row_stays_as_in_torchvision(seed: int) -> None:
    """Boxes on whole numbers and few scores: overlaps of exactly the threshold, and ties everywhere."""
    random = np.random.default_rng(seed)
    boxes, labels = np.rint(random_boxes(300, seed, 6, 12)), random.integers(0, 2, 300)
    scores = (random.integers(1, 4, 300) / 4).astype(np.float32)
    kept = nms(boxes, scores, labels, 0.5)
    assert set(kept.tolist()) == set(torchvision_nms(boxes, scores, labels, 0.5))
    assert kept.tolist() == sorted(kept.tolist(), key=lambda row: (-scores[row], row))


def test_cut_to_the_image_by_hand() -> None:
    boxes: Boxes = np.array([[-5, 2, 4, 30], [12, 3, 20, 8]], np.float32)
    clipped = clip_boxes(boxes, (20, 10))
    assert clipped.tolist() == [[0, 2, 4, 20], [10, 3, 10, 8]]
    assert has_area(clipped).tolist() == [True, False]
    assert centers_inside(np.array([[-4, 0, 4, 2], [-5, 0, 4, 2], [8, 0, 12, 2]], np.float32), (20, 10)).tolist() == [
        True,
        False,
        False,
    ]


def test_smallest_boxes_of_numbered_objects() -> None:
    ids = np.zeros((6, 8), np.int32)
    ids[1:3, 2:5] = 1
    ids[4, 7] = ids[5, 0] = 3
    ids[0, 0] = -1
    assert boxes_of_ids(ids, 3).tolist() == [[2, 1, 5, 3], [0, 0, 0, 0], [0, 4, 8, 6]]
    assert boxes_of_ids(ids, 0).shape == (0, 4)
