"""The class of a whole image; of an image of tiles by the mean of what they show."""

from __future__ import annotations

import numpy as np

from segkit.inference.decisions._base import NO_MAPS, Decision
from segkit.inference.outputs import Outputs
from segkit.inference.results import ClassificationResult
from segkit.inference.tiling import Scores, Tile
from segkit.ops.scores import softened, softened_again


class ClassifyDecision(Decision):
    """Tiles count by their own part of the image, so that every pixel counts once."""

    _sum: Scores | float = 0.0
    _area = 0.0

    def whole(self, outputs: Outputs) -> ClassificationResult:
        """The probabilities that the logits mean."""
        return ClassificationResult(softened(outputs["classify"], self._temperature, axis=0), self.classes.names)

    def add_tile(self, tile: Tile, outputs: Outputs) -> Scores:
        """Add up the probabilities."""
        self._sum = self._sum + np.float32(tile.area) * outputs["classify"]
        self._area += tile.area
        return NO_MAPS

    def joined(self) -> ClassificationResult:
        """The mean of all tiles."""
        mean = np.asarray(self._sum / np.float32(self._area), np.float32)
        return ClassificationResult(softened_again(mean, self._temperature, axis=0), self.classes.names)

    @property
    def _temperature(self) -> float:
        return self.request.temperatures.get("classify", 1.0)
