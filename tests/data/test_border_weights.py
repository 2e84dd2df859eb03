"""The border weight map against its equation, cell by cell and pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.data.border_weights import REACH, SIGMA, border_weights
from segkit.structures import IGNORE_INDEX, ClassMap

CLASSES = ClassMap(("ground", "round", "spindle"))


def by_the_equation(cells: list[NDArray[np.bool_]], largest: float) -> NDArray[np.float64]:
    """Equation 2 without the class weight, by loops over pixels and border pixels."""
    height, width = cells[0].shape
    borders = []
    for cell in cells:
        border = []
        for y, x in np.argwhere(cell):
            neighbours = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [(a, b) for a, b in neighbours if 0 <= a < height and 0 <= b < width]
            if not all(cell[a, b] for a, b in inside):
                border.append((int(y), int(x)))
        borders.append(border)
    weights = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            distances = sorted(min(math.hypot(y - a, x - b) for a, b in border) for border in borders)
            weights[y, x] = largest * math.exp(-((distances[0] + distances[1]) ** 2) / (2 * 5**2))
    return weights


def three_cells() -> tuple[NDArray[np.int16], list[NDArray[np.bool_]]]:
    """Two round cells with a gap of two pixels, one of them cut by the edge, and a spindle-shaped one farther off."""
    y, x = np.mgrid[:40, :50]
    cells = [(y - 12) ** 2 + (x - 14) ** 2 < 80, (y - 15) ** 2 + (x - 33) ** 2 < 72, abs(y - 33) + abs(x - 24) // 3 < 4]
    cells[0] |= (y < 6) & (abs(x - 14) < 4)
    mask = np.zeros((40, 50), np.int16)
    for cell, index in zip(cells, (1, 1, 2), strict=True):
        mask[cell] = index
    return mask, cells


@pytest.mark.parametrize("largest", [10.0, 1.0])
def test_three_cells_have_the_weights_of_the_equation(largest: float) -> None:
    mask, cells = three_cells()
    weights = border_weights(mask, CLASSES, largest)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, by_the_equation(cells, largest), rtol=1e-5, atol=1e-6 * largest)
    gap = (slice(10, 17), slice(23, 25))
    assert weights[gap].min() > 5 * largest / 10  # between two cells
    assert weights[12, 14] < 0.05 * largest  # in the middle of one
    assert weights[39, 49] < 1e-3 * largest  # far from all


@pytest.mark.parametrize("gap", [15, 20])
def test_cells_feel_each_other_over_a_wide_gap(gap: int) -> None:
    """The weight in the middle is 0.06 or 0.001 of 10: small, and as the equation says."""
    mask = np.zeros((20, gap + 20), np.int16)
    mask[6:14, 4:10], mask[6:14, 10 + gap : 16 + gap] = 1, 1
    cells = [(mask == 1) & (np.arange(gap + 20) < 10), (mask == 1) & (np.arange(gap + 20) >= 10)]
    weights = border_weights(mask, CLASSES, 10)
    np.testing.assert_allclose(weights, by_the_equation(cells, 10), rtol=1e-4, atol=1e-7)
    assert weights[10, 10 + gap // 2] == pytest.approx(10 * math.exp(-((gap + 1) ** 2) / 50), rel=1e-4)


def test_beyond_its_reach_a_cell_would_not_be_felt() -> None:
    assert math.exp(-(REACH**2) / (2 * SIGMA**2)) < 2e-8


def test_numbered_objects_are_cells_though_they_touch() -> None:
    mask = np.zeros((24, 30), np.int16)
    mask[6:16, 4:24] = 1
    objects = np.zeros((24, 30), np.uint16)
    objects[6:16, 4:14], objects[6:16, 14:24] = 7, 900
    weights = border_weights(mask, CLASSES, 10, objects)
    np.testing.assert_allclose(weights, by_the_equation([objects == 7, objects == 900], 10), rtol=1e-5, atol=1e-5)
    assert weights[10, 13] == pytest.approx(10 * math.exp(-1 / 50))
    assert border_weights(mask, CLASSES, 10).max() == 0  # one connected region has no second cell


@pytest.mark.parametrize("value", [0, 1, IGNORE_INDEX])
def test_without_two_borders_nothing_is_added(value: int) -> None:
    mask = np.full((9, 12), value, np.int16)
    assert (border_weights(mask, CLASSES, 10) == 0).all()
    mask[3:5, 3:6] = 2
    cells = [cell for cell in (mask == 1, mask == 2) if cell.any()]
    expected = by_the_equation(cells, 10) if len(cells) == 2 else np.zeros(mask.shape)
    np.testing.assert_allclose(border_weights(mask, CLASSES, 10), expected, rtol=1e-5, atol=1e-5)


def test_regions_that_touch_at_a_corner_are_two_cells() -> None:
    mask = np.zeros((12, 12), np.int16)
    mask[2:6, 2:6], mask[6:10, 6:10] = 1, 1
    cells = [(mask == 1) & (np.arange(12) < 6), (mask == 1) & (np.arange(12) >= 6)]
    weights = border_weights(mask, CLASSES, 10)
    np.testing.assert_allclose(weights, by_the_equation(cells, 10), rtol=1e-5, atol=1e-5)
