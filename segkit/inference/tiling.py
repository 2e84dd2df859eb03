"""Predicting an image larger than memory allows: overlapping tiles, blended by a Gaussian window.

Neighbouring tiles share a strip. A tile is least sure where its surroundings are cut off, so each pixel is the mean of
the tiles that cover it, weighted by a Gaussian of the distance from the tile's middle (Isensee et al., nnU-Net, Nature
Methods 2021), and the outermost quarter of a strip counts not at all: a network that looks no further than that gives
exactly what it gives on the whole image.

Of all that, only what a later tile adds to is kept: the rows that the next row of tiles shares with this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

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
        weights: (tiles, length) float32, the window of each tile along this side; those of a pixel add up to 1.
        bounds: first pixel at which each tile counts, and the end of the image: before it no later tile does.
        ends: the pixel after the last at which each tile counts.
    """

    starts: tuple[int, ...]
    weights: NDArray[np.float32]
    bounds: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def length(self) -> int:
        """Pixels of one tile."""
        return self.weights.shape[1]

    @classmethod
    def plan(cls, length: int, tile: int, overlap: float, multiple: int, remainder: int = 0) -> Axis:
        """Tiles for a side of `length` pixels, a multiple of `multiple` plus `remainder`, as every tile will be.

        All starts are multiples, as evenly spaced as these allow: neighbours share at least `overlap`, and all about
        as much. A tile is rounded up, to two multiples at least, so that neighbours can overlap.
        """
        tile = min(max(-(-(tile - remainder) // multiple), 2) * multiple + remainder, length)
        strip = int(tile * overlap)
        step, way = max((tile - strip) // multiple, 1), (length - tile) // multiple  # in multiples
        gaps = -(-way // step)
        starts = tuple(-(-number * way // max(gaps, 1)) * multiple for number in range(gaps + 1))
        weights = np.tile(_gaussian(tile), (len(starts), 1))
        unsure = int(strip * UNSURE)
        weights[1:, :unsure] = 0
        weights[:-1, tile - unsure :] = 0
        bounds = 0, *(start + unsure for start in starts[1:]), length
        ends = *(start + tile - unsure for start in starts[:-1]), length
        return cls(starts, weights / _sums(starts, weights), bounds, ends)

    def counted(self, number: int) -> slice:
        """The pixels at which a tile counts."""
        return slice(self.bounds[number], self.ends[number])

    def finished(self, number: int) -> slice:
        """The pixels that wait for no tile after this one, and did so for this one."""
        return slice(self.bounds[number], self.bounds[number + 1])

    def first_counting(self, number: int) -> int:
        """The first of the tiles that count beyond where a tile begins to; after the last one there is none."""
        beyond = (first for first, end in enumerate(self.ends) if end > self.bounds[number])
        return next(beyond, len(self.starts))

    @property
    def most_kept(self) -> int:
        """Pixels at most that tiles have counted at and a later one will."""
        return max((end - bound for end, bound in zip(self.ends, self.bounds[1:], strict=True)), default=0)

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


class Block(NamedTuple):
    """A finished part of an image: its rows and columns, and its scores (K, rows, columns)."""

    rows: slice
    columns: slice
    scores: Scores


def tiles(down: Axis, across: Axis, first: int = 0) -> Iterator[Tile]:
    """All tiles from the row of tiles `first` on, row by row."""
    for row in range(first, len(down.starts)):
        for column in range(len(across.starts)):
            yield Tile(row, column, down, across)


def blend(shown: Iterable[tuple[Tile, Scores]], done: int = 0) -> Iterator[Block]:
    """Blend `tiles` and yield the image block by block, a row of blocks after the other: one with every tile.

    Besides a tile there are in memory the rows that the next row of tiles shares with the present one, `most_kept`.

    Args:
        shown: each tile with its scores (K, tile height, tile width).
        done: rows of tiles whose blocks are not wanted; what they share with the next is, so `shown` begins with the
            row of tiles `down.first_counting(done)`.
    """
    kept: Scores = np.empty((0, 0, 0), np.float32)
    beside: Scores = np.empty((0, 0, 0), np.float32)
    for tile, scores in shown:
        rows, columns = tile.down.finished(tile.row), tile.across.finished(tile.column)
        if not kept.shape[1]:  # before the first tile; zeros, as nothing above it counts here
            kept = np.zeros((len(scores), tile.down.most_kept, tile.across.bounds[-1]), np.float32)
        total = _weighted(tile, scores)
        if tile.column:
            total[:, :, : beside.shape[2]] += beside
        beside = total[:, :, columns.stop - columns.start :].copy()
        total = total[:, :, : columns.stop - columns.start]
        above = tile.down.ends[tile.row - 1] - rows.start if tile.row else 0
        total[:, :above] += kept[:, :above, columns]
        finished, below = np.split(total, [rows.stop - rows.start], axis=1)
        kept[:, : below.shape[1], columns] = below
        if tile.row >= done:
            yield Block(rows, columns, finished)


def _weighted(tile: Tile, scores: Scores) -> Scores:
    """The scores where the tile counts, times its window."""
    sides = (tile.down, tile.row), (tile.across, tile.column)
    counted = [
        slice(*(position - axis.starts[number] for position in (axis.bounds[number], axis.ends[number])))
        for axis, number in sides
    ]
    window = np.outer(*(axis.weights[number, part] for (axis, number), part in zip(sides, counted, strict=True)))
    weighted: Scores = scores[:, counted[0], counted[1]] * window
    return weighted


def _sums(starts: tuple[int, ...], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """(tiles, length): the sum of all tiles' weights at each pixel of each tile."""
    total = np.zeros(starts[-1] + weights.shape[1], np.float32)
    places = [slice(start, start + weights.shape[1]) for start in starts]
    for place, window in zip(places, weights, strict=True):
        total[place] += window
    return np.stack([total[place] for place in places])


def _gaussian(length: int) -> NDArray[np.float32]:
    """A Gaussian over `length` pixels with a deviation of an eighth of them."""
    distance = np.arange(length) - (length - 1) / 2
    return np.exp(-0.5 * (distance / (length / 8)) ** 2).astype(np.float32)
