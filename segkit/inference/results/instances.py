"""The pixels of every object in one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.drawing import encode_region
from segkit.inference.results._features import collection, feature
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

    def draw(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """An RGB picture (H, W, 3) of the image, (H, W) or (H, W, C), each object in a colour of its own."""
        return draw_instances(image, self.ids)

    def to_table(self, image: NDArray[Any] | None = None) -> list[dict[str, Any]]:
        """One row per object: id, class, score, area, centroid, box, perimeter and solidity, in pixels.

        With the image, (H, W) or (H, W, C), also the mean intensity in every channel; where the spacing is known, also
        area and perimeter in mm. Measured as scikit-image's `regionprops` does.
        """
        from skimage.measure import regionprops

        scaled = {p.label: p for p in regionprops(self.ids, spacing=self.spacing)} if self.spacing else {}
        rows = []
        for region in regionprops(self.ids, intensity_image=image):
            top, left, bottom, right = region.bbox
            row = {
                "id": region.label,
                "class": self.names[region.label - 1],
                "score": round(float(self.scores[region.label - 1]), 4),
                "area": int(region.area),
                "centroid_x": round(float(region.centroid[1]) + 0.5, 2),
                "centroid_y": round(float(region.centroid[0]) + 0.5, 2),
                "left": left,
                "top": top,
                "right": right,
                "bottom": bottom,
                "perimeter": round(float(region.perimeter), 2),
                "solidity": round(float(region.solidity), 4),
            }
            if image is not None:
                means = np.atleast_1d(region.intensity_mean)
                row |= {f"mean_intensity_{channel}": round(float(mean), 4) for channel, mean in enumerate(means)}
            if scaled:
                row["area_mm2"] = round(float(scaled[region.label].area), 6)
            rows.append(row)
        return rows

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """One annotation per object as COCO has them, its pixels as run lengths, with its score."""
        return [
            {
                "id": first_id + place,
                "image_id": image_id,
                "category_id": self.classes.ids[self.labels[row["id"] - 1]],
                "bbox": [row["left"], row["top"], row["right"] - row["left"], row["bottom"] - row["top"]],
                "area": row["area"],
                "iscrowd": 0,
                "segmentation": _run_lengths(self.ids == row["id"]),
                "score": row["score"],
            }
            for place, row in enumerate(self.to_table())
        ]

    def to_geojson(self) -> dict[str, Any]:
        """A feature collection with a polygon per object, holes included, in pixels, the y axis pointing down."""
        return collection(
            feature(self.ids == row["id"], {"id": row["id"], "class": row["class"], "score": row["score"]})
            for row in self.to_table()
        )


def _run_lengths(pixels: NDArray[np.bool_]) -> dict[str, Any]:
    encoded = encode_region(pixels)
    return {"size": list(encoded.size), "counts": encoded.counts.decode("ascii")}
