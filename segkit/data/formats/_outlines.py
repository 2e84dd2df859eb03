"""Regions of pixels as one outline, for layouts that hold one per object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]


def joined(rings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """One ring of several: a line without width leads from the first corner of the first to each other one and back."""
    pieces = [np.concatenate([rings[0], rings[0][:1]])]
    for ring in rings[1:]:
        pieces += [ring, ring[:1], rings[0][:1]]
    return np.concatenate(pieces)


def outline(pixels: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """The ring along the edges of the pixels (H, W) that, filled by the even-odd rule, is exactly these pixels.

    Holes and parts that share no edge are `joined`. None without pixels.
    """
    rings = _rings(pixels)
    return joined([np.array(ring, np.float32) for ring in rings]) if rings else None


def _rings(pixels: NDArray[np.bool_]) -> list[list[Corner]]:
    """Closed ways along pixel edges, the pixels to their right, corners only where they turn."""
    ways = _edges(pixels)
    rings = []
    while ways:
        start = at = next(iter(ways))
        first = step = ways[start][0]
        ring: list[Corner] = []
        while at != start or not ring:
            ways[at].remove(step)
            if not ways[at]:
                del ways[at]
            at = (at[0] + step[0], at[1] + step[1])
            if at == start:
                following = first
            else:
                right = (-step[1], step[0])
                following = right if right in ways[at] else ways[at][0]
            if following != step:
                ring.append(at)
            step = following
        rings.append(ring)
    return rings


def _edges(pixels: NDArray[Any]) -> defaultdict[Corner, list[Corner]]:
    """Corner (x, y) -> the steps that lead from it along an edge of the pixels."""
    padded = np.pad(pixels, 1).astype(np.int8)
    ways: defaultdict[Corner, list[Corner]] = defaultdict(list)
    down = np.diff(padded, axis=0)[:, 1:-1]  # 1 where a pixel begins below the edge
    across = np.diff(padded, axis=1)[1:-1]
    for y, x in np.argwhere(down == 1).tolist():
        ways[x, y].append((1, 0))
    for y, x in np.argwhere(down == -1).tolist():
        ways[x + 1, y].append((-1, 0))
    for y, x in np.argwhere(across == 1).tolist():
        ways[x, y + 1].append((0, -1))
    for y, x in np.argwhere(across == -1).tolist():
        ways[x, y].append((0, 1))
    return ways
