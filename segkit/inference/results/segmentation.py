"""The mask of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.drawing import encode_region
from segkit.inference.results._features import collection, feature
from segkit.structures import ClassMap
from segkit.visualization.overlay import overlay


@dataclass(frozen=True)
class SegmentationResult:
    """The mask of one image.

    Attributes:
        mask: (H, W) class ids of exactly the input's size, in the class map's `id_dtype`.
        classes: what the ids mean.
        probabilities: (K, H, W) float32, one map per class, only where asked for.
    """

    mask: NDArray[np.uint8 | np.uint16]
    classes: ClassMap
    probabilities: NDArray[np.float32] | None = None

    def areas(self) -> dict[str, int]:
        """Pixels per class name."""
        named = zip(self.classes.names, self.classes.ids, strict=True)
        return {name: int((self.mask == class_id).sum()) for name, class_id in named}

    def shares(self) -> dict[str, float]:
        """Share of the image per class name, 0 to 1."""
        return {name: area / self.mask.size for name, area in self.areas().items()}

    def draw(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """An RGB picture (H, W, 3) of the image, (H, W) or (H, W, C), with the mask laid over it."""
        return overlay(image, self.mask, self.classes)

    def to_table(self) -> list[dict[str, Any]]:
        """One row per class: class, pixels, and share of the image."""
        shares = self.shares()
        return [{"class": name, "pixels": pixels, "share": shares[name]} for name, pixels in self.areas().items()]

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """One annotation per foreground class that occurs as COCO has them, its pixels as run lengths."""
        annotations: list[dict[str, Any]] = []
        for mask, index in self._shown():
            rows, columns = np.nonzero(mask)
            left, top = int(columns.min()), int(rows.min())
            encoded = encode_region(mask)
            annotations.append(
                {
                    "id": first_id + len(annotations),
                    "image_id": image_id,
                    "category_id": self.classes.ids[index],
                    "bbox": [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top],
                    "area": len(rows),
                    "iscrowd": 0,
                    "segmentation": {"size": list(encoded.size), "counts": encoded.counts.decode("ascii")},
                }
            )
        return annotations

    def to_geojson(self) -> dict[str, Any]:
        """A feature per foreground class that occurs, polygons with holes, in pixels, the y axis pointing down."""
        return collection(feature(mask, {"class": self.classes.names[index]}) for mask, index in self._shown())

    def _shown(self) -> list[tuple[NDArray[np.bool_], int]]:
        """The pixels of every foreground class that occurs, with its index."""
        masks = [(self.mask == self.classes.ids[index], index) for index in self.classes.foreground]
        return [(mask, index) for mask, index in masks if mask.any()]
