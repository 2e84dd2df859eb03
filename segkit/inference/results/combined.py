"""What a network of several heads says of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.inference.results._features import collection
from segkit.inference.results.classification import ClassificationResult
from segkit.inference.results.detection import DetectionResult
from segkit.inference.results.instances import InstanceResult
from segkit.inference.results.segmentation import SegmentationResult
from segkit.structures import TaskName
from segkit.visualization import to_display
from segkit.visualization.boxes import draw_label

Result = SegmentationResult | InstanceResult | DetectionResult | ClassificationResult
"""What one head says."""


@dataclass(frozen=True)
class CombinedResult:
    """One result per head, from one pass through the backbone; None for heads that the network has not."""

    segment: SegmentationResult | None = None
    instances: InstanceResult | None = None
    detect: DetectionResult | None = None
    classify: ClassificationResult | None = None

    @classmethod
    def of(cls, results: Mapping[TaskName, Result]) -> CombinedResult:
        """From the results by the names of their heads."""
        return cls(**dict(results))  # type: ignore[arg-type]

    def above(self, threshold: float) -> CombinedResult:
        """The same with the boxes that score at least `threshold`."""
        return self if self.detect is None else replace(self, detect=self.detect.above(threshold))

    def draw(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """An RGB picture (H, W, 3) of the image with mask, objects and boxes over it, and the label in its corner."""
        picture: NDArray[Any] = to_display(image)
        for result in (self.segment, self.instances, self.detect):
            if result is not None:
                picture = result.draw(picture)
        if self.classify is None:
            return picture
        name, probability = self.classify.top(1)[0]
        return draw_label(picture, f"{name} {probability:.2f}")

    def to_table(self) -> dict[str, list[dict[str, Any]]]:
        """The tables of the heads."""
        return {task: result.to_table() for task, result in self._results().items()}

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """The objects and boxes as COCO's annotations; the mask's classes where it is all there is."""
        found: list[dict[str, Any]] = []
        for result in [self.instances, self.detect] if self.instances or self.detect else [self.segment]:
            if result is not None:
                found += result.to_coco(image_id, first_id + len(found))
        return found

    def to_geojson(self) -> dict[str, Any]:
        """The features of mask, objects and boxes."""
        results = [result for result in (self.segment, self.instances, self.detect) if result is not None]
        return collection(found for result in results for found in result.to_geojson()["features"])

    def _results(self) -> dict[str, Result]:
        named = {
            "segment": self.segment, "instances": self.instances, "detect": self.detect, "classify": self.classify
        }  # fmt: skip
        return {task: result for task, result in named.items() if result is not None}
