"""The mask: at every pixel the class of the highest score."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.inference.decisions._base import Decision
from segkit.inference.outputs import Outputs, entropy_of
from segkit.inference.results import SegmentationResult, Uncertainty
from segkit.inference.tiling import Scores, Tile
from segkit.ops.scores import class_indices, softened, softened_again, softmax

ENTROPY = entropy_of("segment")


class SegmentDecision(Decision):
    """Of tiles it keeps the decided classes, and the blended probabilities only where these are asked for."""

    _uncertainty: Uncertainty | None = None

    def whole(self, outputs: Outputs) -> SegmentationResult:
        """The class of the highest logit."""
        logits = outputs["segment"]
        maps = softened(logits, self._temperature, axis=0) if self.request.probabilities else None
        if self.request.uncertainty:
            self._uncertainty = Uncertainty.of(softmax(logits, axis=0), outputs.get(ENTROPY), self._temperature)
        return SegmentationResult(self._ids(logits), self.classes, maps, self._uncertainty)

    def add_tile(self, tile: Tile, outputs: Outputs) -> Scores:  # noqa: ARG002
        """Have the probabilities blended, and the entropies of several networks where they are asked for."""
        if self.request.uncertainty and ENTROPY in outputs:
            return np.concatenate([outputs["segment"], outputs[ENTROPY]])
        return outputs["segment"]

    def add_block(self, rows: slice, columns: slice, scores: Scores) -> None:
        """Decide by the blended probabilities."""
        scores, own = np.split(scores, [self.classes.num_classes])
        self._mask[rows, columns] = self._ids(scores)
        if self.request.probabilities:
            self._maps[:, rows, columns] = softened_again(scores, self._temperature, axis=0)
        if self.request.uncertainty:
            found = Uncertainty.of(scores, own if len(own) else None, self._temperature)
            self._uncertainty = self._uncertainty or found.blank(self.request.size)
            self._uncertainty.fill(rows, columns, found)

    def joined(self) -> SegmentationResult:
        """All blocks."""
        maps = self._maps if self.request.probabilities else None
        return SegmentationResult(self._mask, self.classes, maps, self._uncertainty)

    @property
    def _temperature(self) -> float:
        return self.request.temperatures.get("segment", 1.0)

    def _ids(self, scores: Scores) -> NDArray[np.uint8 | np.uint16]:
        return self.classes.indices_to_ids(class_indices(scores))

    @cached_property
    def _mask(self) -> NDArray[Any]:
        return np.empty(self.request.size, self.classes.id_dtype)

    @cached_property
    def _maps(self) -> Scores:
        return np.empty((self.classes.num_classes, *self.request.size), np.float32)
