"""Weighted boxes fusion, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segkit.ops.fusion import BoxSet, fuse_boxes


def boxes(*rows: tuple[float, float, float, float, int, float]) -> BoxSet:
    values = np.array(rows, np.float64).reshape(-1, 6)
    return values[:, :4].astype(np.float32), values[:, 4].astype(np.int64), values[:, 5].astype(np.float32)


def test_two_detectors_by_hand() -> None:
    """0..10 at 0.8 and 1..11 at 0.4 have the union 110 and the intersection 90: one object, two thirds the first's."""
    first = boxes((0, 0, 10, 10, 0, 0.8), (50, 50, 60, 60, 0, 0.6))
    second = boxes((1, 0, 11, 10, 0, 0.4), (0, 0, 10, 10, 1, 0.7))
    corners, labels, scores = fuse_boxes([first, second])
    assert labels.tolist() == [0, 1, 0]
    np.testing.assert_allclose(scores, [0.6, 0.35, 0.3], atol=1e-7)  # alone: half of 0.7, half of 0.6
    expected = np.array([[1 / 3, 0, 31 / 3, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    np.testing.assert_allclose(corners, expected, atol=1e-5)


def test_a_box_goes_where_it_overlaps_most_and_clusters_move() -> None:
    """Of three in a row the third no longer overlaps the first by more than 0.55, but the mean of the first two."""
    found = [boxes((0, 0, 10, 10, 0, 0.9)), boxes((2, 0, 12, 10, 0, 0.9)), boxes((3.5, 0, 13.5, 10, 0, 0.9))]
    assert 6.5 / 13.5 < 0.55 < 7.5 / 12.5
    corners, _, scores = fuse_boxes(found)
    np.testing.assert_allclose(corners, [[5.5 / 3, 0, 10 + 5.5 / 3, 10]], atol=1e-5)
    np.testing.assert_allclose(scores, [0.9], atol=1e-7)


def test_more_boxes_than_detectors_are_no_more_sure() -> None:
    corners, _, scores = fuse_boxes([boxes((0, 0, 10, 10, 0, 0.8), (0, 0, 10, 10, 0, 0.4)), boxes()])
    np.testing.assert_allclose(corners, [[0, 0, 10, 10]])
    np.testing.assert_allclose(scores, [0.6])


@pytest.mark.parametrize("count", [1, 2, 8])
def test_equal_sets_are_that_set(count: int) -> None:
    random = np.random.default_rng(0)
    drawn = (np.arange(20)[:, None] * 40 + random.random((20, 4)) * 5 + [0, 0, 20, 20]).astype(np.float32)
    found = drawn, random.integers(0, 3, 20), np.sort(random.random(20).astype(np.float32))[::-1]
    corners, labels, scores = fuse_boxes([found] * count)
    np.testing.assert_allclose(corners, found[0], rtol=1e-6)
    np.testing.assert_array_equal(labels, found[1])
    np.testing.assert_allclose(scores, found[2], rtol=1e-6)


def test_nothing_found_is_nothing() -> None:
    assert [len(part) for part in fuse_boxes([boxes(), boxes()])] == [0, 0, 0]
