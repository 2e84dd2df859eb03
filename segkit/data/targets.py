"""What heads learn of one crop: the boxes and objects of the image, where the crop and its augmentation show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.data.borders import draw_cells
from segkit.data.crop import Size, Window, cut_boxes, place_boxes
from segkit.data.motion import Move, made_up, move_boxes
from segkit.data.objects import compacted
from segkit.ops.boxes import boxes_of_ids, has_area
from segkit.structures import IGNORE_INDEX, Boxes, Instances

NO_BOXES = Boxes(np.empty((0, 4), np.float32), np.empty(0, np.int64))
"""Of an image whose objects are not known."""


@dataclass(frozen=True)
class View:
    """What a crop shows of its image.

    Attributes:
        window: of the image.
        image_size: (H, W) of the image.
        size: (H, W) the window is resized to.
        margin: pixels on each side that surround the crop.
        moves: of the augmentation.
    """

    window: Window
    image_size: Size
    size: Size
    margin: int
    moves: Sequence[Move]

    @property
    def crop(self) -> Size:
        """(H, W) without the margin."""
        return self.size[0] - 2 * self.margin, self.size[1] - 2 * self.margin

    def boxes(self, boxes: Boxes) -> Boxes:
        """The boxes of the image in pixels of the crop, row by row, then regions that do not count; see `cut_boxes`."""
        moved = move_boxes(place_boxes(boxes, self.window, self.image_size, self.size), self.moves, self.size)
        return cut_boxes(Boxes(moved.corners - np.float32(self.margin), moved.labels), self.crop)

    def made_up(self) -> NDArray[np.bool_]:
        """(H, W) whether a pixel of the crop is one that augmentation mirrored."""
        rows, columns = (slice(self.margin, self.margin + side) for side in self.crop)
        return made_up(self.moves, self.size)[rows, columns]


def box_targets(boxes: Boxes | None, view: View) -> dict[str, Tensor]:
    """`boxes` (M, 4) and `box_label` (M,) of a crop; one that does not count over all of it where none are known."""
    if boxes is None:
        everywhere = np.array([[0, 0, *view.crop[::-1]]], np.float32)
        return _box_tensors(Boxes(everywhere, np.array([IGNORE_INDEX], np.int64)))
    seen = view.boxes(boxes)
    kept = has_area(seen.corners)
    return _box_tensors(Boxes(seen.corners[kept], seen.labels[kept]))


def cell_targets(ids: NDArray[np.int32], labels: NDArray[np.int64], border: int) -> dict[str, Tensor]:
    """`cells` (H, W) of a crop; see `draw_cells`."""
    return {"cells": torch.from_numpy(draw_cells(Instances(ids, labels), border))}


def object_targets(ids: NDArray[np.int32], whole: Boxes, view: View) -> dict[str, Tensor]:
    """`instances` (H, W), ids 1..M of the objects that are learnt in a crop, with `boxes` and `box_label` of each.

    Pixels of an object that is not learnt there, see `cut_boxes`, do not count.

    Args:
        ids: (H, W) of the crop.
        whole: box and class of each object in the image.
        view: of the crop.
    """
    seen = view.boxes(whole)
    learnt = (seen.labels != IGNORE_INDEX)[: len(whole.labels)]
    known = np.concatenate([[True], learnt, [False]])  # ids of -1 index the last entry
    objects = compacted(Instances(np.where(known[ids], ids, np.int32(IGNORE_INDEX)), whole.labels))
    boxes = Boxes(boxes_of_ids(objects.ids, len(objects.labels)), objects.labels)
    return {"instances": torch.from_numpy(objects.ids.astype(np.int64)), **_box_tensors(boxes)}


def _box_tensors(boxes: Boxes) -> dict[str, Tensor]:
    return {"boxes": torch.from_numpy(boxes.corners), "box_label": torch.from_numpy(boxes.labels)}
