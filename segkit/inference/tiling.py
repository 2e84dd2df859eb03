"""Predicting an image larger than memory allows: overlapping tiles, blended by a Gaussian window.

Neighbouring tiles share a strip. A tile is least sure where its surroundings are cut off, so each pixel is the mean of
the tiles that cover it, weighted by a Gaussian of the distance from the tile's middle (Isensee et al., nnU-Net, Nature
Methods 2021), and the outermost quarter of a strip counts not at all: a network that looks no further than that gives
exactly what it gives on the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

UNSURE = 0.25
"""Share of a strip, from the end of a tile, in which the tile is not believed."""


@dataclass(frozen=True)
class Axis:
    """Tiles along one side of an image, all of one length.

    Attributes:
        starts: first pixel of each tile; the last tile ends with the image.
        weights: (tiles, length) float32, the window of each tile along this side.
    """

    starts: tuple[int, ...]
    weights: NDArray[np.float32]

    @property
    def length(self) -> int:
        """Pixels of one tile."""
        return self.weights.shape[1]

    @classmethod
    def plan(cls, length: int, tile: int, overlap: float, multiple: int, remainder: int = 0) -> Axis:
        """Tiles for a side of `length` pixels, a multiple of `multiple` plus `remainder`, as every tile will be.

        All starts are multiples. A tile is rounded up, to two multiples at least, so that neighbours can overlap.
        """
        tile = min(max(-(-(tile - remainder) // multiple), 2) * multiple + remainder, length)
        strip = int(tile * overlap)
        step = max((tile - strip) // multiple * multiple, multiple)
        starts = (*range(0, length - tile, step), length - tile)
        weights = np.tile(_gaussian(tile), (len(starts), 1))
        unsure = int(strip * UNSURE)
        weights[1:, :unsure] = 0
        weights[:-1, tile - unsure :] = 0
        return cls(starts, weights)

    def strip_after(self, number: int) -> tuple[int, int] | None:
        """First pixel, and the one after the last, of the strip that a tile shares with the next; None after the last.

        Where tiles lie end to end, both are where they meet.
        """
        if number + 1 == len(self.starts):
            return None
        return self.starts[number + 1], self.starts[number] + self.length

    def strip_before(self, number: int) -> tuple[int, int] | None:
        """Likewise of the strip shared with the tile before; None before the first."""
        return self.strip_after(number - 1) if number else None

    def zone(self, number: int) -> tuple[float, float]:
        """A tile's own part, which ends in the middle of its strips: start and end in pixels."""
        before, after = self.strip_before(number), self.strip_after(number)
        start = sum(before) / 2 if before else float(self.starts[number])
        end = sum(after) / 2 if after else float(self.starts[number] + self.length)
        return start, end


@dataclass(frozen=True)
class Tile:
    """One tile: its row and column among the tiles, and the tiles of both sides."""

    row: int
    column: int
    down: Axis
    across: Axis

    @property
    def rows(self) -> slice:
        """Its rows of the image."""
        start = self.down.starts[self.row]
        return slice(start, start + self.down.length)

    @property
    def columns(self) -> slice:
        """Its columns of the image."""
        start = self.across.starts[self.column]
        return slice(start, start + self.across.length)

    @property
    def area(self) -> float:
        """Pixels of its own part; those of all tiles add up to the image."""
        (top, bottom), (left, right) = self.down.zone(self.row), self.across.zone(self.column)
        return (bottom - top) * (right - left)


def blend(down: Axis, across: Axis, predict: Callable[[Tile], Scores]) -> Iterator[tuple[slice, Scores]]:
    """Predict every tile and yield finished bands of the image from top to bottom: (rows, scores (K, rows, W)).

    Two rows of tiles are in memory at most. `predict` returns the scores (K, tile height, tile width) of a tile.
    """
    unfinished: Scores | None = None
    ends = (*down.starts[1:], down.starts[-1] + down.length)
    for row, (start, end) in enumerate(zip(down.starts, ends, strict=True)):
        total = _blend_row([Tile(row, column, down, across) for column in range(len(across.starts))], predict)
        if unfinished is not None:
            total[:, : unfinished.shape[1]] += unfinished
        finished, unfinished = np.split(total, [end - start], axis=1)
        yield slice(start, end), finished[:-1] / finished[-1]


def _blend_row(tiles: list[Tile], predict: Callable[[Tile], Scores]) -> Scores:
    """Weighted sums over one row of tiles (K + 1, tile height, W); the last map is the sum of the weights."""
    total: Scores | None = None
    for tile in tiles:
        scores = predict(tile)
        if total is None:
            total = np.zeros((len(scores) + 1, scores.shape[1], tile.across.starts[-1] + scores.shape[2]), np.float32)
        window = np.outer(tile.down.weights[tile.row], tile.across.weights[tile.column])
        total[:-1, :, tile.columns] += scores * window
        total[-1, :, tile.columns] += window
    assert total is not None
    return total


def _gaussian(length: int) -> NDArray[np.float32]:
    """A Gaussian over `length` pixels with a deviation of an eighth of them."""
    distance = np.arange(length) - (length - 1) / 2
    return np.exp(-0.5 * (distance / (length / 8)) ** 2).astype(np.float32)
