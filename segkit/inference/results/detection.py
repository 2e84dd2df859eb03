"""The boxes of the objects in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.structures import ClassMap


@dataclass(frozen=True)
class DetectionResult:
    """Boxes with class and score, the surest first.

    Attributes:
        corners: (M, 4) float32, left, top, right and bottom in pixels of the image, inside it.
        labels: (M,) int64 class indices.
        scores: (M,) float32, 0 to 1.
        classes: what the labels mean.
        size: (H, W) of the image.
    """

    corners: NDArray[np.float32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    classes: ClassMap
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> list[str]:
        """The class name of every box."""
        return [self.classes.names[label] for label in self.labels]

    def above(self, threshold: float) -> DetectionResult:
        """Those with a score of at least `threshold`."""
        kept = self.scores >= threshold
        return DetectionResult(self.corners[kept], self.labels[kept], self.scores[kept], self.classes, self.size)
