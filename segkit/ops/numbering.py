"""Numbers of objects in an image: 1, 2, 3, ... in the order in which a reader meets them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def in_reading_order(ids: NDArray[np.int32], count: int, smallest: int) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Number the objects anew by their first pixels, row by row, and leave out those that are too small.

    Args:
        ids: (H, W), 0 no object, 1..count the objects.
        count: of the objects, some of which may have no pixel.
        smallest: pixels of an object, at least one.

    Returns:
        The new ids (H, W), and for each of the M objects left its row among the old ones, 0..count - 1.
    """
    flat = ids.ravel()
    areas = np.bincount(flat, minlength=count + 1)
    first = np.zeros(count + 1, np.intp)
    first[flat[::-1]] = np.arange(len(flat) - 1, -1, -1)  # of several values for one place the last one stays
    large = 1 + np.flatnonzero(areas[1:] >= max(1, smallest))
    kept = large[np.argsort(first[large])]
    renamed = np.zeros(count + 1, np.int32)
    renamed[kept] = np.arange(1, len(kept) + 1)
    return renamed[ids], kept - 1
