"""The mask of one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.inference.results._features import Feature, collection, feature
from segkit.inference.results._images import Image, stored_values
from segkit.inference.results._regions import Region, annotation, regions
from segkit.inference.results.uncertainty import Uncertainty
from segkit.ops.polygons import outlines
from segkit.structures import ClassMap
from segkit.visualization.overlay import overlay


@dataclass(frozen=True)
class SegmentationResult:
    """The mask of one image.

    Attributes:
        mask: (H, W) class ids of exactly the input's size, in the class map's `id_dtype`.
        classes: what the ids mean.
        probabilities: (K, H, W) float32, one map per class, only where asked for.
        uncertainty: how unsure the network is of every pixel, likewise.
    """

    mask: NDArray[np.uint8 | np.uint16]
    classes: ClassMap
    probabilities: NDArray[np.float32] | None = None
    uncertainty: Uncertainty | None = None

    def areas(self) -> dict[str, int]:
        """Pixels per class name."""
        named = zip(self.classes.names, self.classes.ids, strict=True)
        return {name: int((self.mask == class_id).sum()) for name, class_id in named}

    def shares(self) -> dict[str, float]:
        """Share of the image per class name, 0 to 1."""
        return {name: area / self.mask.size for name, area in self.areas().items()}

    def draw(self, image: Image) -> NDArray[np.uint8]:
        """An RGB picture (H, W, 3) of the image with the mask laid over it; `UsageError` where its size differs."""
        return overlay(stored_values(image, self.mask.shape), self.mask, self.classes)

    def to_table(self) -> list[dict[str, Any]]:
        """One row per class: class, pixels, and share of the image."""
        return [
            {"class": name, "pixels": pixels, "share": pixels / self.mask.size} for name, pixels in self.areas().items()
        ]

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """One annotation per foreground class that occurs as COCO has them, its pixels as run lengths.

        Category ids are the class ids.
        """
        found = regions(self._foreground())
        return [
            {
                "id": first_id + place,
                "image_id": image_id,
                "category_id": self.classes.ids[region.id - 1],
                **annotation(region, self.mask.shape),
            }
            for place, region in enumerate(found)
        ]

    def to_geojson(self) -> dict[str, Any]:
        """A feature per connected part of each foreground class: a polygon with its holes.

        With class, area and, where the probabilities are kept, score, the mean one of the class in the part. Pixels are
        connected that share a side. In pixels of the image, the y axis pointing down.
        """
        return collection(one for region in regions(self._foreground()) for one in self._parts(region))

    def _parts(self, region: Region) -> Iterator[Feature]:
        """The connected parts of a class."""
        top, left = region.place
        index = region.id - 1
        for part in regions(cv2.connectedComponents(region.pixels.astype(np.uint8), connectivity=4)[1]):
            place = top + part.place[0], left + part.place[1]
            properties = {"class": self.classes.names[index], "area": part.area}
            if self.probabilities is not None:
                rows, columns = np.nonzero(part.pixels)
                mean = self.probabilities[index, rows + place[0], columns + place[1]].mean(dtype=np.float64)
                properties["score"] = round(float(mean), 4)
            yield feature(outlines(part.pixels), properties, place)

    def _foreground(self) -> NDArray[np.int32]:
        """(H, W) class index + 1 where a pixel is foreground, else 0."""
        indices = self.classes.ids_to_indices(self.mask).astype(np.int32)
        return np.where(indices == self.classes.background, 0, indices + 1)
