"""The boxes of the objects in one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def draw(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """An RGB picture (H, W, 3) of the image, (H, W) or (H, W, C), with the boxes, their classes and scores."""
        return draw_boxes(image, self.corners, self.labels, self.classes, self.scores)

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
        """A feature collection with a polygon per box, in pixels of the image, the y axis pointing down."""
        features = []
        for row, box in zip(self.to_table(), self.corners, strict=True):
            left, top, right, bottom = _rounded(box)
            ring = [[left, top], [left, bottom], [right, bottom], [right, top], [left, top]]
            properties = {"class": row["class"], "score": row["score"]}
            geometry = {"type": "Polygon", "coordinates": [ring]}
            features.append({"type": "Feature", "properties": properties, "geometry": geometry})
        return {"type": "FeatureCollection", "features": features}

    def _only(self, kept: NDArray[np.bool_]) -> DetectionResult:
        return DetectionResult(self.corners[kept], self.labels[kept], self.scores[kept], self.classes, self.size)


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 2) for value in values]
