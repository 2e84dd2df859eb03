"""Outlines: filled again they are the mask, holes included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from matplotlib.path import Path
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

from segkit.ops.polygons import Outline, Ring, outlines, ring_area

Mask = NDArray[np.bool_]


def by_matplotlib(ring: Ring, shape: tuple[int, int]) -> Mask:
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    points = np.stack([columns.ravel(), rows.ravel()], axis=1)
    return np.asarray(Path(np.vstack([ring, ring[:1]])).contains_points(points).reshape(shape), np.bool_)


def by_skimage(ring: Ring, shape: tuple[int, int]) -> Mask:
    return np.asarray(
        polygon2mask(shape, ring[:, ::-1] - 0.5), np.bool_
    )  # its pixels have their middles at whole numbers


def filled(found: Sequence[Outline], shape: tuple[int, int], fill: Callable[[Ring, tuple[int, int]], Mask]) -> Mask:
    """By the even-odd rule, from the middles of the pixels."""
    mask = np.zeros(shape, np.bool_)
    for ring in rings(found):
        mask ^= fill(ring, shape)
    return mask


def rings(found: Sequence[Outline]) -> list[Ring]:
    return [ring for outline in found for ring in (outline.exterior, *outline.holes)]


def drawn(*rows: str) -> Mask:
    return np.array([[mark == "#" for mark in row] for row in rows])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("fill", [by_matplotlib, by_skimage])
def test_random_masks_come_back(seed: int, fill: Callable[[Ring, tuple[int, int]], Mask]) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random((17, 23)) < generator.uniform(0.2, 0.8)
    np.testing.assert_array_equal(filled(outlines(mask), mask.shape, fill), mask)


@pytest.mark.parametrize("seed", range(20))
def test_rings_are_as_geojson_wants_them(seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random((17, 23)) < generator.uniform(0.2, 0.8)
    found = outlines(mask)
    assert len(found) == ndimage.label(mask)[1]
    assert sum(map(ring_area, rings(found))) == mask.sum()
    for outline in found:
        assert ring_area(outline.exterior) > 0
        assert all(ring_area(hole) < 0 for hole in outline.holes)
    for ring in rings(found):
        assert len(np.unique(ring, axis=0)) == len(ring)
        sides = np.roll(ring, -1, axis=0) - ring
        assert ((sides == 0).sum(axis=1) == 1).all()  # along the axes, and each side turns from the one before
        assert ((sides[:, 0] == 0) != (np.roll(sides, 1, axis=0)[:, 0] == 0)).all()


def test_a_ring_in_a_ring_has_holes() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[1:19, 1:19] = True
    mask[3:17, 3:17] = False
    mask[6:14, 6:14] = True
    mask[8:12, 8:12] = False
    outer, inner = outlines(mask)
    assert outer.exterior.tolist() == [[1, 1], [19, 1], [19, 19], [1, 19]]
    assert [hole.tolist() for hole in outer.holes] == [[[3, 3], [3, 17], [17, 17], [17, 3]]]
    assert inner.exterior.tolist() == [[6, 6], [14, 6], [14, 14], [6, 14]]
    assert [hole.tolist() for hole in inner.holes] == [[[8, 8], [8, 12], [12, 12], [12, 8]]]


def test_pixels_that_touch_at_a_corner_are_two_parts() -> None:
    for mask in (np.eye(2), np.eye(2)[::-1]):
        found = outlines(mask)
        assert [len(one.exterior) for one in found] == [4, 4]
        assert [ring_area(one.exterior) for one in found] == [1, 1]


def test_a_hole_that_touches_the_outside_at_a_corner_stays_a_hole() -> None:
    (found,) = outlines(drawn(".##", "#.#", "###"))
    assert ring_area(found.exterior) == 8
    assert [ring_area(hole) for hole in found.holes] == [-1]


def test_holes_that_touch_at_a_corner_are_two() -> None:
    (found,) = outlines(drawn("####", "#.##", "##.#", "####"))
    assert [ring_area(hole) for hole in found.holes] == [-1, -1]


def test_single_pixels_and_whole_images() -> None:
    assert [one.exterior.tolist() for one in outlines(np.ones((2, 3)))] == [[[0, 0], [3, 0], [3, 2], [0, 2]]]
    (pixel,) = outlines(np.pad(np.ones((1, 1)), ((4, 0), (6, 0))))
    assert pixel.exterior.tolist() == [[6, 4], [7, 4], [7, 5], [6, 5]]
    assert outlines(np.zeros((3, 3))) == []


def test_many_objects_in_a_large_mask_come_back() -> None:
    generator, mask = np.random.default_rng(0), np.zeros((2000, 2000), np.uint8)
    for _ in range(500):
        x, y = generator.integers(2000, size=2).tolist()
        cv2.ellipse(mask, (x, y), (30, 18), float(generator.integers(180)), 0, 360, 1, -1)
    found = outlines(mask)
    np.testing.assert_array_equal(by_scanlines(found, (2000, 2000)), mask > 0)


def by_scanlines(found: Sequence[Outline], shape: tuple[int, int]) -> Mask:
    """What lies right of an odd number of upright sides."""
    crossed = np.zeros((shape[0], shape[1] + 1), np.bool_)
    for ring in rings(found):
        for (x, y), (_, end) in zip(ring.astype(int), np.roll(ring, -1, axis=0).astype(int), strict=True):
            crossed[min(y, end) : max(y, end), x] ^= True
    return np.logical_xor.accumulate(crossed, axis=1)[:, :-1]
