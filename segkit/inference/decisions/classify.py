"""The class of a whole image; of an image of tiles by the mean of what they show."""

from __future__ import annotations

import numpy as np

from segkit.inference.decisions._base import NO_MAPS, Decision
from segkit.inference.outputs import Outputs, entropy_of
from segkit.inference.results import ClassificationResult, Uncertainty
from segkit.inference.tiling import Scores, Tile
from segkit.ops.scores import softened, softened_again, softmax

ENTROPY = entropy_of("classify")


class ClassifyDecision(Decision):
    """Tiles count by their own part of the image, so that every pixel counts once."""

    _sum: Scores | float = 0.0
    _entropies: Scores | None = None
    _area = 0.0

    def whole(self, outputs: Outputs) -> ClassificationResult:
        """The probabilities that the logits mean."""
        logits = outputs["classify"]
        probabilities = softened(logits, self._temperature, axis=0)
        return self._result(probabilities, softmax(logits, axis=0), outputs.get(ENTROPY))

    def add_tile(self, tile: Tile, outputs: Outputs) -> Scores:
        """Add up the probabilities, and the entropies of several networks."""
        self._sum = self._sum + np.float32(tile.area) * outputs["classify"]
        if ENTROPY in outputs:
            own = np.float32(tile.area) * outputs[ENTROPY]
            self._entropies = own if self._entropies is None else self._entropies + own
        self._area += tile.area
        return NO_MAPS

    def joined(self) -> ClassificationResult:
        """The mean of all tiles."""
        area = np.float32(self._area)
        mean = np.asarray(self._sum / area, np.float32)
        own = None if self._entropies is None else self._entropies / area
        return self._result(softened_again(mean, self._temperature, axis=0), mean, own)

    def _result(self, shown: Scores, probabilities: Scores, own: Scores | None) -> ClassificationResult:
        """The probabilities shown, and those before the temperature, by which members are compared."""
        asked = self.request.uncertainty
        uncertainty = Uncertainty.of(probabilities, own, self._temperature) if asked else None
        return ClassificationResult(shown, self.classes.names, uncertainty)

    @property
    def _temperature(self) -> float:
        return self.request.temperatures.get("classify", 1.0)
