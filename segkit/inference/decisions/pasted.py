"""Objects that a network gives as masks of fixed size in boxes, as Mask R-CNN does, painted into one image of ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.inference.decisions._base import Request
from segkit.inference.merging import TileBoxes, group_pieces, in_own_zone, joined
from segkit.inference.outputs import Outputs
from segkit.inference.tiling import Scores, Tile
from segkit.ops.boxes import BoxArray, centers_inside, clip_boxes, has_area, nms
from segkit.ops.numbering import in_reading_order
from segkit.ops.paste import Window, paste_mask
from segkit.structures import Instances

LEAST_LEFT = 0.5
"""Share of its mask that surer objects must leave an object: what is left of a second mask of one object is a sliver
(Kirillov et al., Panoptic Segmentation, 2019, section 6)."""


@dataclass(frozen=True)
class FoundMasks:
    """Boxes (M, 4) in pixels of the image with class indices (M,), scores (M,) and masks (M, h, w), and their tile."""

    corners: BoxArray
    labels: NDArray[np.int64]
    scores: Scores
    masks: Scores
    tile: Tile | None

    @classmethod
    def read(cls, outputs: Outputs, corners: BoxArray, tile: Tile | None = None) -> FoundMasks:
        """What a network found in an image or a tile, its boxes moved to `corners`."""
        labels, scores, masks = (outputs[f"instances/{name}"] for name in ("labels", "scores", "masks"))
        return cls(corners, labels.astype(np.int64), scores, masks, tile)

    def rows(self, kept: NDArray[np.bool_]) -> FoundMasks:
        """Those of the given rows."""
        return FoundMasks(self.corners[kept], self.labels[kept], self.scores[kept], self.masks[kept], self.tile)


def paste(found: Sequence[FoundMasks], request: Request) -> tuple[Instances, Scores]:
    """The objects of an image, or of its tiles, that are sure enough to be shown, and the score (M,) of each.

    Where masks overlap, the surer object has the pixels; one of which less than `LEAST_LEFT` is left is none. Pieces of
    an object that tiles cut are one object.
    """
    rule = request.rule
    shown = [_answered_for(part.rows(part.scores >= rule.threshold), request) for part in found]
    corners, labels, scores, masks = (
        np.concatenate([getattr(part, name) for part in shown]) for name in ("corners", "labels", "scores", "masks")
    )
    numbers = _numbers(shown, request)
    around = joined(corners, numbers)
    of_object = np.lexsort((-scores, numbers))
    surest = of_object[np.unique(numbers[of_object], return_index=True)[1]]
    kept = nms(around, scores[surest], labels[surest], rule.overlap)[: rule.max_detections]
    visible = has_area(clip_boxes(corners, request.size))
    ids: NDArray[np.int32] = np.zeros(request.size, np.int32)
    for place, number in enumerate(kept, start=1):  # the surest first
        pieces = np.flatnonzero((numbers == number) & visible)
        _paint(ids, place, [paste_mask(masks[piece], corners[piece], request.size) for piece in pieces])
    ids, rows = in_reading_order(ids, len(kept), rule.smallest_object)
    chosen = surest[kept[rows]]
    return Instances(ids, labels[chosen]), scores[chosen]


def _paint(ids: NDArray[np.int32], number: int, pieces: Sequence[tuple[Window, NDArray[np.bool_]]]) -> None:
    """Give an object the pixels of its pieces that no surer one has, if they are enough of them."""
    left = [covered & (ids[window] == 0) for window, covered in pieces]
    if sum(map(np.count_nonzero, left)) < LEAST_LEFT * sum(np.count_nonzero(covered) for _, covered in pieces):
        return
    for (window, _), own in zip(pieces, left, strict=True):
        ids[window][own] = number


def _answered_for(part: FoundMasks, request: Request) -> FoundMasks:
    """Without what lies on mirrored pixels, or another tile sees better."""
    kept = centers_inside(part.corners, request.size)
    if part.tile is not None:
        kept &= in_own_zone(part.tile, request.in_tiles(part.corners))
    return part.rows(kept)


def _numbers(shown: Sequence[FoundMasks], request: Request) -> NDArray[np.intp]:
    """For each of all masks the number of its object."""
    tiles = [TileBoxes(part.tile, request.in_tiles(part.corners), part.labels) for part in shown if part.tile]
    return group_pieces(tiles) if tiles else np.arange(len(shown[0].corners))
