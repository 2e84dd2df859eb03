"""The pixels of every object in one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.inference.results._features import collection, feature
from segkit.inference.results._images import Image, stored_values
from segkit.inference.results._measures import measure
from segkit.inference.results._regions import annotation, regions
from segkit.ops.polygons import outlines
from segkit.structures import ClassMap
from segkit.visualization.instances import draw_instances


@dataclass(frozen=True)
class InstanceResult:
    """Which object a pixel belongs to, with class and score of each object.

    Attributes:
        ids: (H, W) int32 of exactly the input's size: 0 no object, 1..M the objects.
        labels: (M,) int64 class index of each object, in the order of the ids.
        scores: (M,) float32, 0 to 1.
        classes: what the labels mean.
        spacing: distance between the centres of neighbouring rows and columns in mm, where the file states it.
    """

    ids: NDArray[np.int32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    classes: ClassMap
    spacing: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> list[str]:
        """The class name of every object."""
        return [self.classes.names[label] for label in self.labels]

    def draw(self, image: Image, numbers: bool = False) -> NDArray[np.uint8]:
        """An RGB picture (H, W, 3) of the image, each object in another colour than its neighbours.

        With `numbers` the ids are written on the objects. Raises `UsageError` where the image has another size.
        """
        return draw_instances(stored_values(image, self.ids.shape), self.ids, numbers=numbers)

    def to_table(self, image: Image | None = None) -> list[dict[str, Any]]:
        """One row per object: id, class, score, area, centroid, box, perimeter and solidity, in pixels.

        The columns are id, class, score, area, centroid_x, centroid_y, left, top, right, bottom, perimeter, solidity;
        with the image mean_intensity_0 and so on, one per channel; where the spacing is known area_mm2 and
        perimeter_mm (None unless pixels are square). The measures are those of scikit-image's `regionprops`. An object
        that others hide has no row. Raises `UsageError` where the image has another size.
        """
        values = None if image is None else stored_values(image, self.ids.shape)
        measured = measure(self.ids, values, self.spacing)
        return [self._properties(number) | measures for number, measures in measured.items()]

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """One annotation per object as COCO has them, its pixels as run lengths, with its score.

        Category ids are the class ids.
        """
        return [
            {
                "id": first_id + place,
                "image_id": image_id,
                "category_id": self.classes.ids[self.labels[region.id - 1]],
                **annotation(region, self.ids.shape),
                "score": _rounded(self.scores[region.id - 1]),
            }
            for place, region in enumerate(regions(self.ids))
        ]

    def to_geojson(self) -> dict[str, Any]:
        """A feature per object with id, class, score and area: its polygon with holes, or several where it is in parts.

        In pixels of the image, the y axis pointing down.
        """
        return collection(
            feature(outlines(region.pixels), self._properties(region.id) | {"area": region.area}, region.place)
            for region in regions(self.ids)
        )

    def _properties(self, number: int) -> dict[str, Any]:
        return {"id": number, "class": self.names[number - 1], "score": _rounded(self.scores[number - 1])}


def _rounded(score: np.float32) -> float:
    return round(float(score), 4)
