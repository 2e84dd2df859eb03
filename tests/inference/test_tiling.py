"""Tiles cover an image, and blending gives what the whole image gives."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.inference.tiling import Axis, blend


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "multiple", "starts"),
    [
        (100, 100, 0.25, 1, (0,)),
        (100, 200, 0.25, 1, (0,)),
        (160, 64, 0.25, 16, (0, 48, 96)),
        (176, 64, 0.25, 16, (0, 48, 96, 112)),
        (96, 32, 0.0, 32, (0, 32)),  # a tile of one multiple could not overlap: two are taken
        (256, 100, 0.5, 32, (0, 64, 128)),  # 100 is rounded up to 128
    ],
)
def test_starts_by_hand(length: int, tile: int, overlap: float, multiple: int, starts: tuple[int, ...]) -> None:
    assert Axis.plan(length, tile, overlap, multiple).starts == starts


def test_tiles_of_a_multiple_and_a_remainder_by_hand() -> None:
    axis = Axis.plan(148, 64, 0.25, 16, 4)  # 148 = 9 * 16 + 4; 64 becomes 68, a quarter of which is 17
    assert (axis.starts, axis.length) == ((0, 48, 80), 68)
    assert Axis.plan(20, 64, 0.25, 16, 4).starts == (0,)


@pytest.mark.parametrize("multiple", [1, 16, 32])
@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("tile", [32, 50, 128])
def test_every_pixel_has_a_weight_and_every_start_fits_the_stride(tile: int, overlap: float, multiple: int) -> None:
    for length in range(multiple, 400, multiple):
        axis = Axis.plan(length, tile, overlap, multiple)
        total = np.zeros(length)
        for start, weights in zip(axis.starts, axis.weights, strict=True):
            assert start % multiple == 0
            total[start : start + axis.length] += weights
        assert total.min() > 1e-4


def test_edges_inside_the_image_do_not_count() -> None:
    weights = Axis.plan(160, 64, 0.25, 16).weights
    strip = 4  # a quarter of the 16 shared pixels
    assert (weights[1:, :strip] == 0).all()
    assert (weights[:-1, -strip:] == 0).all()
    assert (weights[0, :strip] > 0).all()
    assert (weights[-1, -strip:] > 0).all()


def test_bands_join_to_the_whole_image() -> None:
    scores: NDArray[np.float32] = np.random.default_rng(0).random((3, 160, 96)).astype(np.float32)
    down, across = Axis.plan(160, 64, 0.25, 16), Axis.plan(96, 64, 0.25, 16)
    bands = list(blend(down, across, lambda tile: scores[:, tile.rows, tile.columns]))
    assert [(rows.start, rows.stop) for rows, _ in bands] == [(0, 48), (48, 96), (96, 160)]
    np.testing.assert_allclose(np.concatenate([band for _, band in bands], axis=1), scores, rtol=1e-6)


def test_blending_by_hand() -> None:
    """Two tiles of 64 that share 32 pixels, the left one saying 0 and the right one 1."""
    down, across = Axis.plan(64, 64, 0.5, 1), Axis.plan(96, 64, 0.5, 1)
    constant = {0: 0.0, 32: 1.0}
    (_, blended), *_ = blend(down, across, lambda tile: np.full((1, 64, 64), constant[tile.columns.start], "f4"))
    row = blended[0, 20]
    assert (row[: 32 + 8] == 0).all()
    assert (row[64 - 8 :] == 1).all()
    position = 50
    left, right = (np.exp(-0.5 * ((position - start - 31.5) / 8) ** 2) for start in (0, 32))
    assert row[position] == pytest.approx(right / (left + right), rel=1e-5)
    assert (np.diff(row) >= 0).all()
