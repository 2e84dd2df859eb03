"""Outlines: filled again they are the mask, holes included."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path
from numpy.typing import NDArray

from segkit.ops.polygons import Outline, outlines, ring_area


def filled(found: list[Outline], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """By matplotlib and the even-odd rule, from the middles of the pixels."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    points = np.stack([columns.ravel(), rows.ravel()], axis=1)
    mask = np.zeros(len(points), np.bool_)
    for outline in found:
        for ring in (outline.exterior, *outline.holes):
            mask ^= Path(np.vstack([ring, ring[:1]])).contains_points(points)
    return mask.reshape(shape)


@pytest.mark.parametrize("seed", range(20))
def test_random_masks_come_back(seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random((17, 23)) < generator.uniform(0.2, 0.8)
    found = outlines(mask)
    np.testing.assert_array_equal(filled(found, mask.shape), mask)
    assert sum(ring_area(one.exterior) + sum(map(ring_area, one.holes)) for one in found) == mask.sum()


def test_a_ring_in_a_ring_has_holes() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[1:19, 1:19] = True
    mask[3:17, 3:17] = False
    mask[6:14, 6:14] = True
    mask[8:12, 8:12] = False
    found = outlines(mask)
    assert [len(one.holes) for one in found] == [1, 1]
    assert found[0].exterior.tolist() == [[1, 1], [19, 1], [19, 19], [1, 19]] or len(found[0].exterior) == 4
    np.testing.assert_array_equal(filled(found, mask.shape), mask)


def test_pixels_that_touch_at_a_corner_are_two_parts() -> None:
    found = outlines(np.eye(2))
    assert len(found) == 2
    assert all(abs(ring_area(one.exterior)) == 1 for one in found)
    assert outlines(np.zeros((3, 3))) == []
