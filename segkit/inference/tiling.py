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
Predict = Callable[[slice, slice], Scores]


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
        unsure = strip // 4
        weights[1:, :unsure] = 0
        weights[:-1, tile - unsure :] = 0
        return cls(starts, weights)


def blend(down: Axis, across: Axis, num_classes: int, predict: Predict) -> Iterator[tuple[slice, Scores]]:
    """Predict every tile and yield finished bands of the image from top to bottom: (rows, scores (K, rows, W)).

    Two rows of tiles are in memory at most. `predict` gets the rows and columns of a tile and returns its scores
    (K, tile height, tile width).
    """
    unfinished: Scores | None = None
    ends = (*down.starts[1:], down.starts[-1] + down.length)
    for start, end, weights in zip(down.starts, ends, down.weights, strict=True):
        total = _blend_row(slice(start, start + down.length), weights, across, num_classes, predict)
        if unfinished is not None:
            total[:, : unfinished.shape[1]] += unfinished
        finished, unfinished = np.split(total, [end - start], axis=1)
        yield slice(start, end), finished[:-1] / finished[-1]


def _blend_row(
    rows: slice, row_weights: NDArray[np.float32], across: Axis, num_classes: int, predict: Predict
) -> Scores:
    """Weighted sums over one row of tiles (K + 1, tile height, W); the last map is the sum of the weights."""
    total = np.zeros((num_classes + 1, len(row_weights), across.starts[-1] + across.length), np.float32)
    for start, column_weights in zip(across.starts, across.weights, strict=True):
        columns = slice(start, start + across.length)
        window = np.outer(row_weights, column_weights)
        total[:-1, :, columns] += predict(rows, columns) * window
        total[-1, :, columns] += window
    return total


def _gaussian(length: int) -> NDArray[np.float32]:
    """A Gaussian over `length` pixels with a deviation of an eighth of them."""
    distance = np.arange(length) - (length - 1) / 2
    return np.exp(-0.5 * (distance / (length / 8)) ** 2).astype(np.float32)
