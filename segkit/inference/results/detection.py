"""The boxes of the objects in one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.inference.results._features import box_feature, collection
from segkit.inference.results._images import Image, stored_values
from segkit.ops.boxes import box_areas
from segkit.structures import ClassMap
from segkit.visualization.boxes import draw_boxes


@dataclass(frozen=True)
class DetectionResult:
    """Boxes with class and score, the surest first.

    Attributes:
        corners: (M, 4) float32, left, top, right and bottom in pixels of the image, inside it.
        labels: (M,) int64 class indices.
        scores: (M,) float32, 0 to 1.
        classes: what the labels mean.
        size: (H, W) of the image.
    """

    corners: NDArray[np.float32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    classes: ClassMap
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> list[str]:
        """The class name of every box."""
        return [self.classes.names[label] for label in self.labels]

    def above(self, threshold: float) -> DetectionResult:
        """Those with a score of at least `threshold`."""
        return self._only(self.scores >= threshold)

    def surest(self, count: int) -> DetectionResult:
        """The `count` surest."""
        return self._only(np.arange(len(self)) < count)

    def draw(self, image: Image, caption: str = "") -> NDArray[np.uint8]:
        """An RGB picture (H, W, 3) of the image with the boxes, their classes and scores, and a line in its corner.

        Raises `UsageError` where the image has another size.
        """
        values = stored_values(image, self.size)
        return draw_boxes(values, self.corners, self.labels, self.classes, self.scores, caption)

    def to_table(self) -> list[dict[str, Any]]:
        """One row per box: class, score, left, top, right and bottom in pixels."""
        return [
            {"class": name, "score": round(float(score), 4)}
            | dict(zip(("left", "top", "right", "bottom"), _rounded(box), strict=True))
            for name, score, box in zip(self.names, self.scores, self.corners, strict=True)
        ]

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """One annotation per box as COCO has them, with its score; category ids are the class ids."""
        areas = box_areas(self.corners)
        return [
            {
                "id": first_id + place,
                "image_id": image_id,
                "category_id": self.classes.ids[label],
                "bbox": _rounded((left, top, right - left, bottom - top)),
                "area": round(float(areas[place]), 2),
                "iscrowd": 0,
                "score": round(float(self.scores[place]), 4),
            }
            for place, (label, (left, top, right, bottom)) in enumerate(zip(self.labels, self.corners, strict=True))
        ]

    def to_geojson(self) -> dict[str, Any]:
        """A feature per box with class, score and area, in pixels of the image, the y axis pointing down."""
        return collection(
            box_feature(_rounded(box), {"class": row["class"], "score": row["score"], "area": round(float(area), 2)})
            for row, box, area in zip(self.to_table(), self.corners, box_areas(self.corners), strict=True)
        )

    def _only(self, kept: NDArray[np.bool_]) -> DetectionResult:
        return DetectionResult(self.corners[kept], self.labels[kept], self.scores[kept], self.classes, self.size)


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 2) for value in values]
