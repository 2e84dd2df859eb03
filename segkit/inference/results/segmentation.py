"""The mask of one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.structures import ClassMap


@dataclass(frozen=True)
class SegmentationResult:
    """The mask of one image.

    Attributes:
        mask: (H, W) class ids of exactly the input's size, in the class map's `id_dtype`.
        classes: what the ids mean.
        probabilities: (K, H, W) float32, one map per class, only where asked for.
    """

    mask: NDArray[np.uint8 | np.uint16]
    classes: ClassMap
    probabilities: NDArray[np.float32] | None = None

    def areas(self) -> dict[str, int]:
        """Pixels per class name."""
        named = zip(self.classes.names, self.classes.ids, strict=True)
        return {name: int((self.mask == class_id).sum()) for name, class_id in named}

    def shares(self) -> dict[str, float]:
        """Share of the image per class name, 0 to 1."""
        return {name: area / self.mask.size for name, area in self.areas().items()}
