"""Regions as one outline each: filled again, they are the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from segkit.data.drawing import draw_region
from segkit.data.formats._outlines import joined, outline
from segkit.structures import Polygons


def test_an_outline_has_corners_only_where_it_turns() -> None:
    pixels = np.zeros((4, 5), bool)
    pixels[1:3, 1:4] = True
    ring = outline(pixels)
    assert ring is not None
    assert sorted(map(tuple, ring[:-1].tolist())) == [(1, 1), (1, 3), (4, 1), (4, 3)]
    assert outline(np.zeros((4, 5), bool)) is None


@pytest.mark.parametrize("scale", [1, 5])
def test_filled_outlines_are_the_pixels_they_were_drawn_around(scale: int) -> None:
    rng = np.random.default_rng(scale)
    for _ in range(60):  # with holes, islands in them, and parts that touch at corners
        pixels = rng.random(rng.integers(1, 24, 2)) > rng.random()
        pixels = np.kron(pixels, np.ones((scale, scale), bool))
        ring = outline(pixels)
        filled = np.zeros_like(pixels) if ring is None else draw_region(Polygons((ring,)), pixels.shape)
        np.testing.assert_array_equal(filled, pixels)


def test_joined_rings_enclose_what_they_enclosed_alone() -> None:
    rings = tuple(np.array(ring, np.float32) for ring in ([(1, 1), (4, 1), (4, 5)], [(6, 2), (9, 2), (9, 7), (6, 7)]))
    whole = draw_region(Polygons(rings), (10, 12))
    np.testing.assert_array_equal(draw_region(Polygons((joined(rings),)), (10, 12)), whole)
