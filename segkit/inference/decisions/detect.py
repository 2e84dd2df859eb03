"""The boxes of objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkit.inference.decisions._base import NO_MAPS, Decision, Request
from segkit.inference.merging import TileBoxes, group_pieces, in_own_zone, joined
from segkit.inference.outputs import OBJECT_AXES, SOURCE, Outputs
from segkit.inference.results import DetectionResult
from segkit.inference.tiling import Scores, Tile
from segkit.ops.boxes import BoxArray, centers_inside, clip_boxes, has_area, nms
from segkit.ops.fusion import fuse_boxes
from segkit.ops.scores import sigmoid
from segkit.pipeline import ObjectRule
from segkit.structures import ClassMap

MOST_CANDIDATES = 1000
"""Boxes that go into the suppression, those of the highest scores; as torchvision's detectors take of a level."""


class Candidates(NamedTuple):
    """Boxes (M, 4) of objects there may be, with class indices (M,) and scores (M,)."""

    corners: BoxArray
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]

    def rows(self, kept: NDArray[np.intp] | NDArray[np.bool_]) -> Candidates:
        """Those of the given rows."""
        return Candidates(self.corners[kept], self.labels[kept], self.scores[kept])


class DetectDecision(Decision):
    """Candidates above the least score, less those that surer ones cover; of tiles without doubles and in one piece.

    What several detectors find is decided for each alone, and fused at the end.
    """

    def __init__(self, classes: ClassMap, request: Request) -> None:
        super().__init__(classes, request)
        self._tiles: list[Tile] = []
        self._found: list[list[Candidates]] = []

    def whole(self, outputs: Outputs) -> DetectionResult:
        """The boxes, in pixels of the image."""
        of_each = [find_candidates(own, self.request.rule) for own in by_source(outputs)]
        return self._result(
            [self._suppressed(found._replace(corners=self.request.from_seen(found.corners))) for found in of_each]
        )

    def add_tile(self, tile: Tile, outputs: Outputs) -> Scores:
        """Keep the boxes that the tile answers for."""
        self._tiles.append(tile)
        self._found.append([self._of_tile(tile, own) for own in by_source(outputs)])
        return NO_MAPS

    def joined(self) -> DetectionResult:
        """The boxes of all tiles, pieces of one object joined and of the score of the surest of them."""
        return self._result([self._merged(found) for found in zip(*self._found, strict=True)])

    def _of_tile(self, tile: Tile, outputs: Outputs) -> Candidates:
        found = find_candidates(outputs, self.request.rule)
        found = self._suppressed(found._replace(corners=self.request.from_tile(found.corners, tile)))
        return found.rows(in_own_zone(tile, self.request.in_tiles(found.corners)))

    def _merged(self, of_tiles: Sequence[Candidates]) -> Candidates:
        """What one detector found in all tiles."""
        corners, labels, scores = (np.concatenate(parts) for parts in zip(*of_tiles, strict=True))
        shown = [
            TileBoxes(tile, self.request.in_tiles(found.corners), found.labels)
            for tile, found in zip(self._tiles, of_tiles, strict=True)
        ]
        numbers = group_pieces(shown)
        surest = np.lexsort((-scores, numbers))
        surest = surest[np.unique(numbers[surest], return_index=True)[1]]
        return self._suppressed(Candidates(joined(corners, numbers), labels[surest], scores[surest]))

    def _suppressed(self, found: Candidates) -> Candidates:
        """Those with their middle in the image, cut to it, without those that a surer one covers, the surest first."""
        size = self.request.size
        clipped = clip_boxes(found.corners, size)
        inside = centers_inside(found.corners, size) & has_area(clipped)
        left = found._replace(corners=clipped).rows(inside)
        return left.rows(nms(left.corners, left.scores, left.labels, self.request.rule.overlap))

    def _result(self, of_each: Sequence[Candidates]) -> DetectionResult:
        """Of one detector what it found, of several what they found together."""
        rule, found = self.request.rule, of_each[0]
        if len(of_each) > 1:
            found = Candidates(*fuse_boxes(of_each))
            found = found.rows(found.scores >= rule.least_score)
        first = found.rows(np.arange(min(len(found.scores), rule.max_detections)))
        return DetectionResult(*first, self.classes, self.request.size)


def by_source(outputs: Outputs) -> list[Outputs]:
    """The outputs of each of several detectors, as `mean_of` put them together; of one its own."""
    if SOURCE not in outputs:
        return [outputs]
    source, names = outputs[SOURCE], [name for name in OBJECT_AXES if name.startswith("detect") and name in outputs]
    return [
        {name: outputs[name][source == number] for name in names} for number in range(int(source.max(initial=0)) + 1)
    ]


def find_candidates(outputs: Outputs, rule: ObjectRule) -> Candidates:
    """Classes at places that score at least the rule's `least_score`, the surest first.

    A score is the geometric mean of the probabilities of class and centerness (Tian et al., FCOS, 2019, as its authors
    and torchvision have it since).
    """
    scores = np.sqrt(sigmoid(outputs["detect"]) * sigmoid(outputs["detect/centerness"])[:, None])
    places, labels = np.nonzero(scores >= rule.least_score)
    found = scores[places, labels]
    best = np.argsort(-found, kind="stable")[:MOST_CANDIDATES]
    return Candidates(outputs["detect/boxes"][places[best]], labels[best], found[best])
