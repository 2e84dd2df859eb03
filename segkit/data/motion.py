"""How augmentation moves what is in a crop: where boxes go, and which pixels a mirrored border makes up. No torch.

Points are in pixels from the upper left corner, x before y; pixel (row, column) covers column..column + 1 and row..row
+ 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from segkit.ops.boxes import BoxArray, clip_boxes, has_area
from segkit.structures import IGNORE_INDEX, Boxes

Size = tuple[int, int]
"""Height and width in pixels."""

Shown = NDArray[np.uint8]
"""(H, W) 1 where a pixel is one of the crop, 0 where it is a mirrored one."""


class Move(ABC):
    """One change of the geometry of a crop."""

    @abstractmethod
    def boxes(self, boxes: Boxes, size: Size) -> Boxes:
        """Where boxes go that are in a crop of `size`, or reach beyond it: row by row, then what is shown again."""

    @abstractmethod
    def shown(self, shown: Shown) -> Shown:
        """Where pixels of the crop go."""


@dataclass(frozen=True)
class Flip(Move):
    """Left becomes right, or top bottom."""

    sideways: bool

    @override
    def boxes(self, boxes: Boxes, size: Size) -> Boxes:
        corners = boxes.corners.copy()
        first, last, length = (0, 2, size[1]) if self.sideways else (1, 3, size[0])
        corners[:, first], corners[:, last] = length - boxes.corners[:, last], length - boxes.corners[:, first]
        return Boxes(corners, boxes.labels)

    @override
    def shown(self, shown: Shown) -> Shown:
        return shown[:, ::-1] if self.sideways else shown[::-1]


@dataclass(frozen=True)
class Transposition(Move):
    """Rows become columns."""

    @override
    def boxes(self, boxes: Boxes, size: Size) -> Boxes:
        return Boxes(boxes.corners[:, [1, 0, 3, 2]], boxes.labels)

    @override
    def shown(self, shown: Shown) -> Shown:
        return shown.T


@dataclass(frozen=True, eq=False)
class Affine(Move):
    """Rotation and shear, beyond the crop its mirror image: what that shows again of an object does not count.

    A box goes where the ellipse goes that fits it, which is tighter for round objects than where its corners go.

    Attributes:
        matrix: (3, 3), from a point of the crop to where it goes.
    """

    matrix: NDArray[np.float64]

    @override
    def boxes(self, boxes: Boxes, size: Size) -> Boxes:
        again = self._moved(_mirror_images(clip_boxes(boxes.corners, size), size))
        again = again[has_area(clip_boxes(again, size))]
        labels = np.concatenate([boxes.labels, np.full(len(again), IGNORE_INDEX, np.int64)])
        return Boxes(np.concatenate([self._moved(boxes.corners), again]), labels)

    @override
    def shown(self, shown: Shown) -> Shown:
        middle = np.eye(3)
        middle[:2, 2] = 0.5  # OpenCV counts from the middle of the first pixel
        matrix = np.linalg.inv(middle) @ self.matrix @ middle
        return np.asarray(cv2.warpAffine(shown, matrix[:2], shown.shape[::-1], flags=cv2.INTER_NEAREST), np.uint8)

    def _moved(self, corners: BoxArray) -> BoxArray:
        linear, shift = self.matrix[:2, :2], self.matrix[:2, 2]
        middle = (corners[:, :2] + corners[:, 2:]) / 2 @ linear.T + shift
        radii = np.sqrt(((corners[:, 2:] - corners[:, :2]) / 2) ** 2 @ (linear**2).T)
        return np.concatenate([middle - radii, middle + radii], axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Bend(Move):
    """Elastic deformation; a box goes to the pixels that show the ellipse that fits what of it is in the crop.

    Sides beyond the crop stay where they are.

    Attributes:
        columns: (H, W) which column each pixel shows, counted from the middle of the first; `rows` likewise.
    """

    columns: NDArray[np.float32]
    rows: NDArray[np.float32]

    @override
    def boxes(self, boxes: Boxes, size: Size) -> Boxes:
        y, x = np.ogrid[: size[0], : size[1]]
        reach = max(float(np.abs(self.columns - x).max()), float(np.abs(self.rows - y).max()))
        inside, corners = clip_boxes(boxes.corners, size), boxes.corners.copy()
        for row in np.flatnonzero(has_area(inside)):
            stays = inside[row] != corners[row]  # a side beyond the crop
            corners[row] = np.where(stays, corners[row], self._moved(inside[row], reach))
        return Boxes(corners, boxes.labels)

    @override
    def shown(self, shown: Shown) -> Shown:
        return np.asarray(cv2.remap(shown, self.columns, self.rows, cv2.INTER_NEAREST), np.uint8)

    def _moved(self, box: BoxArray, reach: float) -> BoxArray:
        """What shows a box of the crop, which lies up to `reach` pixels elsewhere; without area where nothing does."""
        left, top = np.floor(box[:2] - reach).clip(min=0).astype(int)
        right, bottom = np.ceil(box[2:] + reach).astype(int)
        middle, radii = (box[:2] + box[2:]) / 2 - 0.5, (box[2:] - box[:2]) / 2
        x = (self.columns[top:bottom, left:right] - middle[0]) / radii[0]
        y = (self.rows[top:bottom, left:right] - middle[1]) / radii[1]
        shows = x * x + y * y <= 1
        rows, columns = np.flatnonzero(shows.any(axis=1)), np.flatnonzero(shows.any(axis=0))
        if not len(rows):
            return np.zeros(4, np.float32)
        return np.array([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1], np.float32)


def move_boxes(boxes: Boxes, moves: Sequence[Move], size: Size) -> Boxes:
    """Where boxes go, row by row, and after them, as `IGNORE_INDEX`, what a mirrored border shows again."""
    for move in moves:
        boxes = move.boxes(boxes, size)
    return boxes


def made_up(moves: Sequence[Move], size: Size) -> NDArray[np.bool_]:
    """(H, W) whether a pixel of the moved crop is one that a mirrored border made up."""
    shown = np.ones(size, np.uint8)
    for move in moves:
        shown = move.shown(shown)
    return shown == 0


def _mirror_images(corners: BoxArray, size: Size) -> BoxArray:
    """Boxes of an image as they show beside it, on all eight sides, where it is mirrored at its outermost pixels."""
    (left, top, right, bottom), (height, width) = corners.T, size
    columns = (left, right), (1 - right, 1 - left), (2 * width - 1 - right, 2 * width - 1 - left)
    rows = (top, bottom), (1 - bottom, 1 - top), (2 * height - 1 - bottom, 2 * height - 1 - top)
    images = [np.stack([x[0], y[0], x[1], y[1]], axis=1) for x in columns for y in rows]
    return np.concatenate(images[1:])  # the first is the image itself
