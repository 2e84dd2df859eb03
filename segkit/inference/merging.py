"""Boxes of overlapping tiles become the boxes of their image.

An object that is no larger than the strip that neighbours share is seen whole by the tile in whose zone its centre lies
(`Axis.zone`), so a tile gives up the boxes whose centre lies elsewhere. Of a larger object both neighbours may see a
piece: the one's box reaches the strip's far end and the other's its near end, and such boxes are joined. All of this
holds with some slack, as a network finds centres and sides to some pixels only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from segkit.inference.tiling import UNSURE, Axis, Tile
from segkit.ops.boxes import BoxArray

SLACK = UNSURE / 2
"""Share of a strip by which zones reach into one another. With twice as much a piece of an object could be kept that
ends within no `UNSURE` part of a strip, and would be joined with nothing."""

ALIKE = 0.5
"""Pieces are of one object where, along the line at which they meet, they share so much of the shorter one."""

_SIDES = ((0, 2), (1, 3))
"""Columns of a box that lie across and down: left and right, top and bottom."""


@dataclass(frozen=True)
class TileBoxes:
    """Boxes (M, 4) in pixels of all tiles, with class indices (M,), and the tile that shows them."""

    tile: Tile
    corners: BoxArray
    labels: NDArray[np.int64]


def in_own_zone(tile: Tile, corners: BoxArray) -> NDArray[np.bool_]:
    """(M,) which boxes the tile answers for."""
    kept = np.ones(len(corners), np.bool_)
    for (axis, number), (low, high) in zip(_axes(tile), _SIDES, strict=True):
        middle = (corners[:, low] + corners[:, high]) / 2
        start, end = axis.zone(number)
        before, after = axis.strip_before(number), axis.strip_after(number)
        if before:
            kept &= middle >= start - SLACK * (before[1] - before[0])
        if after:
            kept &= middle < end + SLACK * (after[1] - after[0])
    return kept


def group_pieces(found: Sequence[TileBoxes]) -> NDArray[np.intp]:
    """For each of all boxes, in their order, the number of its object; those of one number are pieces of it."""
    first = np.cumsum([0, *(len(boxes.corners) for boxes in found)])
    pairs = [np.empty((0, 2), np.intp)]
    by_place = {(boxes.tile.row, boxes.tile.column): position for position, boxes in enumerate(found)}
    for (row, column), position in by_place.items():
        for along, neighbour in enumerate(((row, column + 1), (row + 1, column))):
            if neighbour in by_place:
                other = by_place[neighbour]
                pairs.append(_pieces(found[position], found[other], along) + first[[position, other]])
    ends = np.concatenate(pairs).T
    graph = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(first[-1], first[-1]))
    numbers: NDArray[np.intp] = connected_components(graph, directed=False)[1]
    return numbers


def _pieces(boxes: TileBoxes, others: TileBoxes, along: int) -> NDArray[np.intp]:
    """(P, 2) rows of the boxes of two neighbours that are pieces of one object; the second lies right of, or below."""
    axis, number = _axes(boxes.tile)[along]
    strip = axis.strip_after(number)
    assert strip is not None
    start, end = strip
    unsure = max(1.0, UNSURE * (end - start))
    (low, high), (side_low, side_high) = _SIDES[along], _SIDES[1 - along]
    ending = np.flatnonzero(boxes.corners[:, high] >= end - unsure)
    starting = np.flatnonzero(others.corners[:, low] <= start + unsure)
    ours, theirs = boxes.corners[ending, None], others.corners[None, starting]
    shared = np.minimum(ours[..., side_high], theirs[..., side_high]) - np.maximum(
        ours[..., side_low], theirs[..., side_low]
    )
    shorter = np.minimum(ours[..., side_high] - ours[..., side_low], theirs[..., side_high] - theirs[..., side_low])
    fit = (shared >= ALIKE * shorter) & (boxes.labels[ending, None] == others.labels[None, starting])
    first, second = np.nonzero(fit)
    return np.stack([ending[first], starting[second]], axis=1)


def joined(corners: BoxArray, numbers: NDArray[np.intp]) -> BoxArray:
    """(N, 4) the smallest boxes around the pieces of each number."""
    count = int(numbers.max(initial=-1)) + 1
    around = np.empty((count, 4), np.float32)
    around[:, :2], around[:, 2:] = np.inf, -np.inf
    np.minimum.at(around[:, :2], numbers, corners[:, :2])
    np.maximum.at(around[:, 2:], numbers, corners[:, 2:])
    return around


def _axes(tile: Tile) -> tuple[tuple[Axis, int], tuple[Axis, int]]:
    """The tiles across and down, each with the number of this one."""
    return (tile.across, tile.column), (tile.down, tile.row)
