"""Tiles cover an image, and blending gives what the whole image gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.inference.tiling import Axis, Block, Tile, blend, tiles

Scores = NDArray[np.float32]


def blended(down: Axis, across: Axis, predict: Callable[[Tile], Scores], done: int = 0) -> list[Block]:
    shown = ((tile, predict(tile)) for tile in tiles(down, across, down.first_counting(done)))
    return list(blend(shown, done))


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "multiple", "starts"),
    [
        (100, 100, 0.25, 1, (0,)),
        (100, 200, 0.25, 1, (0,)),
        (160, 64, 0.25, 16, (0, 48, 96)),
        (176, 64, 0.25, 16, (0, 48, 80, 112)),
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
def test_weights_of_every_pixel_add_up_to_one_and_every_start_fits_the_stride(
    tile: int, overlap: float, multiple: int
) -> None:
    for length in range(multiple, 400, multiple):
        axis = Axis.plan(length, tile, overlap, multiple)
        total = np.zeros(length)
        for start, weights in zip(axis.starts, axis.weights, strict=True):
            assert start % multiple == 0
            total[start : start + axis.length] += weights
        np.testing.assert_allclose(total, 1, atol=1e-6)
        for number, (start, weights) in enumerate(zip(axis.starts, axis.weights, strict=True)):
            counted = axis.counted(number)
            assert np.flatnonzero(weights).tolist() == list(range(counted.start - start, counted.stop - start))


def test_edges_inside_the_image_do_not_count() -> None:
    weights = Axis.plan(160, 64, 0.25, 16).weights
    strip = 4  # a quarter of the 16 shared pixels
    assert (weights[1:, :strip] == 0).all()
    assert (weights[:-1, -strip:] == 0).all()
    assert (weights[0, :strip] > 0).all()
    assert (weights[-1, -strip:] > 0).all()


@pytest.mark.parametrize(("tile", "overlap"), [(64, 0.25), (64, 0.5), (64, 0.9), (32, 0.0), (200, 0.25)])
def test_blocks_join_to_the_whole_image(tile: int, overlap: float) -> None:
    """Each pixel is given once, and what is blended of equal scores is these."""
    scores = np.random.default_rng(0).random((3, 176, 96)).astype(np.float32)
    down, across = Axis.plan(176, tile, overlap, 16), Axis.plan(96, tile, overlap, 16)
    joined = np.full_like(scores, np.nan)
    for rows, columns, part in blended(down, across, lambda tile: scores[:, tile.rows, tile.columns]):
        assert np.isnan(joined[:, rows, columns]).all()
        joined[:, rows, columns] = part
    np.testing.assert_allclose(joined, scores, rtol=1e-6)


def test_blocks_by_hand() -> None:
    """Of strips of 16 pixels and more the outer four are not believed."""
    axis = Axis.plan(176, 64, 0.25, 16)
    assert axis.starts == (0, 48, 80, 112)
    assert axis.bounds == (0, 52, 84, 116, 176)
    assert axis.ends == (60, 108, 140, 176)
    assert axis.most_kept == 24  # of the tile at 48, rows 84 to 107
    single = Axis.plan(64, 64, 0.25, 16)
    blocks = blended(axis, single, lambda tile: np.ones((1, 64, 64), np.float32))
    assert [(rows.start, rows.stop) for rows, _, _ in blocks] == [(0, 52), (52, 84), (84, 116), (116, 176)]


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6, 0.9])
def test_a_blend_taken_up_gives_the_same_bits(overlap: float) -> None:
    """Whatever number of rows of tiles was done, by tiles that say different things of the same pixels."""
    down, across = Axis.plan(256, 64, overlap, 8), Axis.plan(100, 64, overlap, 4)

    def say(tile: Tile) -> Scores:
        return np.random.default_rng((tile.row, tile.column)).random((2, 64, 64)).astype(np.float32)

    whole = blended(down, across, say)
    for done in range(len(down.starts)):
        again = blended(down, across, say, done)
        expected = [block for block in whole if block.rows.start >= down.bounds[done]]
        assert len(again) == len(expected)
        for block, other in zip(again, expected, strict=True):
            assert block[:2] == other[:2]
            assert np.array_equal(block.scores, other.scores)


def test_blending_by_hand() -> None:
    """Two tiles of 64 that share 32 pixels, the left one saying 0 and the right one 1."""
    down, across = Axis.plan(64, 64, 0.5, 1), Axis.plan(96, 64, 0.5, 1)
    constant = {0: 0.0, 32: 1.0}
    blocks = blended(down, across, lambda tile: np.full((1, 64, 64), constant[tile.columns.start], "f4"))
    row = np.concatenate([block.scores for block in blocks], axis=2)[0, 20]
    assert (row[: 32 + 8] == 0).all()
    np.testing.assert_allclose(row[64 - 8 :], 1, rtol=1e-6)
    position = 50
    left, right = (np.exp(-0.5 * ((position - start - 31.5) / 8) ** 2) for start in (0, 32))
    assert row[position] == pytest.approx(right / (left + right), rel=1e-5)
    assert (np.diff(row) >= -1e-6).all()
