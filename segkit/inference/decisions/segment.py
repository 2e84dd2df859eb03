"""The mask: at every pixel the class of the highest score."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.inference.decisions._base import Decision
from segkit.inference.outputs import Outputs
from segkit.inference.results import SegmentationResult
from segkit.inference.tiling import Scores, Tile
from segkit.ops.scores import class_indices, softened, softened_again


class SegmentDecision(Decision):
    """Of tiles it keeps the decided classes, and the blended probabilities only where these are asked for."""

    def whole(self, outputs: Outputs) -> SegmentationResult:
        """The class of the highest logit."""
        logits = outputs["segment"]
        maps = softened(logits, self._temperature, axis=0) if self.request.probabilities else None
        return SegmentationResult(self._ids(logits), self.classes, maps)

    def add_tile(self, tile: Tile, outputs: Outputs) -> Scores:  # noqa: ARG002
        """Have the probabilities blended."""
        return outputs["segment"]

    def add_block(self, rows: slice, columns: slice, scores: Scores) -> None:
        """Decide by the blended probabilities."""
        self._mask[rows, columns] = self._ids(scores)
        if self.request.probabilities:
            self._maps[:, rows, columns] = softened_again(scores, self._temperature, axis=0)

    def joined(self) -> SegmentationResult:
        """All blocks."""
        return SegmentationResult(self._mask, self.classes, self._maps if self.request.probabilities else None)

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
