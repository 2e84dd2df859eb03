"""Distances of outlines: by hand, by brute force, and by MedPy's formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from segkit.metrics import BoundaryScores, boundary_scores
from segkit.metrics.boundary import (
    _nearest_by_transform,
    _nearest_by_tree,
    class_boundary_scores,
    outline,
    outline_distances,
)

Region = NDArray[np.bool_]


def box(top: int, left: int, bottom: int, right: int, shape: tuple[int, int] = (20, 24)) -> Region:
    region = np.zeros(shape, bool)
    region[top:bottom, left:right] = True
    return region


def blobs(seed: int, smooth: float, shape: tuple[int, int] = (40, 50)) -> tuple[Region, Region]:
    generator = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(generator.normal(size=shape), smooth) for _ in range(2)]
    one, two = (field > np.quantile(field, 0.7) for field in (fields[0], fields[0] + 0.5 * fields[1]))
    return one, two


def brute_force(one: Region, two: Region, spacing: tuple[float, float]) -> tuple[NDArray[np.float64], ...]:
    """All distances between outline pixels, and the least of each row and column."""
    ours, theirs = (np.argwhere(region ^ ndimage.binary_erosion(region)) * spacing for region in (one, two))
    all_pairs = np.sqrt(((ours[:, None] - theirs[None]) ** 2).sum(-1))
    return all_pairs.min(axis=1), all_pairs.min(axis=0)


def test_square_shifted_by_three_columns() -> None:
    # Outlines of 4 x 4 pixels have 12. From one to the other shifted right by 3: the left column lies 3 away, the
    # next two 2 and 1 in the top and bottom rows, the right column 0 .. 1: its 4 pixels are the other's left column.
    found = boundary_scores(box(5, 5, 9, 9), box(5, 8, 9, 12), tolerance=1)
    distances = [3, 3, 3, 3, 2, 2, 1, 1, 0, 0, 0, 0]
    assert found.assd == pytest.approx(np.mean(distances))
    assert found.hd95 == 3
    assert found.nsd == pytest.approx(6 / 12)


def test_equal_regions_lie_nowhere_apart() -> None:
    region = box(2, 3, 11, 19)
    assert boundary_scores(region, region, tolerance=0) == BoundaryScores(0, 0, 1)


def test_single_pixels_apart_in_millimetres() -> None:
    one, two = box(3, 3, 4, 4), box(6, 7, 7, 8)
    assert boundary_scores(one, two) == BoundaryScores(5, 5, 0)
    # Three rows of 2 mm and four columns of 0.5 mm.
    found = boundary_scores(one, two, tolerance=6.4, spacing=(2.0, 0.5))
    assert found == pytest.approx(BoundaryScores(np.hypot(6, 2), np.hypot(6, 2), 1))


def test_hd95_is_the_larger_of_the_two_directions() -> None:
    # A long line against its own first pixel: from the line 0 .. 19 pixels, from the pixel 0.
    line, start = box(3, 2, 4, 22), box(3, 2, 4, 3)
    found = boundary_scores(line, start)
    assert found.hd95 == np.percentile(np.arange(20), 95)
    assert found.hd95 == boundary_scores(start, line).hd95
    assert found.assd == pytest.approx(np.arange(20).sum() / 21)
    assert found.nsd == pytest.approx((3 + 1) / 21)


def test_outline_holds_the_pixels_at_the_border_of_the_image() -> None:
    whole = np.ones((4, 5), bool)
    assert outline(whole).sum() == 2 * 5 + 2 * 2
    region = blobs(3, 2)[0]
    np.testing.assert_array_equal(outline(region), region ^ ndimage.binary_erosion(region))


@pytest.mark.parametrize("smooth", [0, 1, 4])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.3, 1.7)])
def test_equals_brute_force(smooth: float, spacing: tuple[float, float]) -> None:
    one, two = blobs(1, smooth)
    ours, theirs = brute_force(one, two, spacing)
    for found, expected in zip(outline_distances(one, two, spacing), (ours, theirs), strict=True):
        np.testing.assert_allclose(np.sort(found), np.sort(expected))
    scores = boundary_scores(one, two, tolerance=1.0, spacing=spacing)
    assert scores.hd95 == pytest.approx(max(np.percentile(ours, 95), np.percentile(theirs, 95)))
    assert scores.assd == pytest.approx((ours.sum() + theirs.sum()) / (len(ours) + len(theirs)))
    assert scores.nsd == pytest.approx(((ours <= 1).sum() + (theirs <= 1).sum()) / (len(ours) + len(theirs)))


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_medpy_where_the_definitions_are_one(seed: int) -> None:
    """MedPy: the percentile of both directions together, the mean of their means; its Hausdorff distance is ours."""
    one, two = blobs(seed, 2)
    spacing = (0.8, 1.25)
    directed = []
    for from_, to in ((one, two), (two, one)):
        surface = to ^ ndimage.binary_erosion(to, ndimage.generate_binary_structure(2, 1))
        distances = ndimage.distance_transform_edt(~surface, sampling=spacing)
        directed.append(distances[from_ ^ ndimage.binary_erosion(from_, ndimage.generate_binary_structure(2, 1))])
    ours = outline_distances(one, two, spacing)
    assert np.mean([found.mean() for found in ours]) == pytest.approx(np.mean([found.mean() for found in directed]))
    assert np.percentile(np.hstack(ours), 95) == pytest.approx(np.percentile(np.hstack(directed), 95))
    assert max(found.max() for found in ours) == pytest.approx(max(found.max() for found in directed))
    found = boundary_scores(one, two, spacing=spacing)
    lowest, highest = sorted(np.percentile(distances, 95) for distances in directed)
    assert found.hd95 == pytest.approx(highest)
    assert lowest <= np.percentile(np.hstack(directed), 95) <= found.hd95


def test_tree_and_transform_find_the_same() -> None:
    one, two = (outline(region) for region in blobs(5, 1))
    for from_, to in ((one, two), (two, one)):
        by_tree = _nearest_by_tree(from_, to, (0.7, 1.9))
        np.testing.assert_allclose(by_tree, _nearest_by_transform(from_, to, (0.7, 1.9)))


def test_ignored_pixels_belong_to_no_class() -> None:
    reference = np.zeros((10, 12), np.int16)
    reference[2:6, 2:6] = 1
    reference[:, 6:] = -1
    prediction = np.zeros_like(reference)
    prediction[2:6, 2:12] = 1
    assert class_boundary_scores(reference, prediction, 1, 0, (1.0, 1.0)) == BoundaryScores(0, 0, 1)


def test_what_has_no_outline_is_refused() -> None:
    empty, region = np.zeros((5, 5), bool), np.ones((5, 5), bool)
    for pair in ((empty, region), (region, empty), (empty, empty)):
        with pytest.raises(ValueError, match="no outline; count it as missed or invented"):
            boundary_scores(*pair)
    with pytest.raises(ValueError, match="differ in shape"):
        boundary_scores(region, np.ones((5, 6), bool))
