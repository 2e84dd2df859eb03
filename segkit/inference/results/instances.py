"""The pixels of every object in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.structures import ClassMap


@dataclass(frozen=True)
class InstanceResult:
    """Which object a pixel belongs to, with class and score of each object.

    Attributes:
        ids: (H, W) int32 of exactly the input's size: 0 no object, 1..M the objects.
        labels: (M,) int64 class index of each object, in the order of the ids.
        scores: (M,) float32, 0 to 1.
        classes: what the labels mean.
        spacing: distance between the centres of neighbouring rows and columns in mm, where the file states it.
    """

    ids: NDArray[np.int32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    classes: ClassMap
    spacing: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.scores)
