"""The pixels of every object: grown from maps of insides and borders, or pasted from masks in boxes (`pasted`)."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from segkit.inference.decisions._base import NO_MAPS, Decision, Request
from segkit.inference.decisions.pasted import FoundMasks, paste
from segkit.inference.outputs import Outputs
from segkit.inference.results import InstanceResult
from segkit.inference.tiling import Scores, Tile
from segkit.ops.scores import softmax
from segkit.ops.watershed import grow_objects
from segkit.structures import ClassMap, Instances


class InstancesDecision(Decision):
    """Maps of tiles are blended first, and objects grow over the whole image: no side of a tile cuts them.

    Besides the mask of an image of tiles, that takes 4 * (K + 1) bytes per pixel for the maps of K classes and border,
    and about 40 bytes per pixel while the objects grow.
    """

    def __init__(self, classes: ClassMap, request: Request) -> None:
        super().__init__(classes, request)
        self._pasted: list[FoundMasks] = []

    def whole(self, outputs: Outputs) -> InstanceResult:
        """The objects, in pixels of the image."""
        if "instances" in outputs:
            return self._grow(softmax(outputs["instances"], axis=0))
        return self._paste([FoundMasks.read(outputs, self.request.from_seen(outputs["instances/boxes"]))])

    def add_tile(self, tile: Tile, outputs: Outputs) -> Scores:
        """Have maps blended, or keep the masks of the objects that the tile answers for."""
        if "instances" in outputs:
            return outputs["instances"]
        corners = self.request.from_tile(outputs["instances/boxes"], tile)
        self._pasted.append(FoundMasks.read(outputs, corners, tile))
        return NO_MAPS

    def add_block(self, rows: slice, columns: slice, scores: Scores) -> None:
        """Keep the blended probabilities."""
        self._maps[:, rows, columns] = scores

    def joined(self) -> InstanceResult:
        """The objects of the whole image."""
        if self._pasted:
            return self._paste(self._pasted)
        return self._grow(self._maps)

    def _grow(self, probabilities: Scores) -> InstanceResult:
        rule = self.request.rule
        found = grow_objects(probabilities, rule.seed_threshold, rule.smallest_seed, rule.smallest_object)
        return self._result(*found)

    def _paste(self, found: list[FoundMasks]) -> InstanceResult:
        return self._result(*paste(found, self.request))

    def _result(self, found: Instances, scores: Scores) -> InstanceResult:
        return InstanceResult(found.ids, found.labels, scores, self.classes, self.request.spacing)

    @cached_property
    def _maps(self) -> Scores:
        return np.empty((self.classes.num_classes + 1, *self.request.size), np.float32)
