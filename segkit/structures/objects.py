"""The objects of one image as a network learns them: boxes, or the pixels of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Boxes:
    """Boxes with their classes.

    Attributes:
        corners: (M, 4) float32, left, top, right and bottom, where pixel (row, column) covers column..column + 1 and
            row..row + 1.
        labels: (M,) int64 class indices; `IGNORE_INDEX` where what lies in the box is neither learnt as an object nor
            as background, and not counted in scores: a crowd, or pixels that a mirrored border made up.
    """

    corners: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Instances:
    """Which object a pixel belongs to, and the class of each object.

    Attributes:
        ids: (H, W) int32: 0 no object, 1..M the objects, `IGNORE_INDEX` where not counted.
        labels: (M,) int64 class index of each object, in the order of the ids.
    """

    ids: NDArray[np.int32]
    labels: NDArray[np.int64]
