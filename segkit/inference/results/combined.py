"""What a network of several heads says of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.inference.results._features import collection
from segkit.inference.results._images import Image, stored_values
from segkit.inference.results.classification import ClassificationResult
from segkit.inference.results.detection import DetectionResult
from segkit.inference.results.instances import InstanceResult
from segkit.inference.results.segmentation import SegmentationResult
from segkit.structures import TASKS, TaskName
from segkit.visualization.display import to_display

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

    @property
    def mask(self) -> NDArray[np.uint8 | np.uint16] | None:
        """(H, W) class ids, where the network segments."""
        return None if self.segment is None else self.segment.mask

    @property
    def boxes(self) -> NDArray[np.float32] | None:
        """(M, 4) left, top, right and bottom, where the network detects."""
        return None if self.detect is None else self.detect.corners

    @property
    def label(self) -> str | None:
        """The most probable class of the image, where the network classifies."""
        return None if self.classify is None else self.classify.label

    def draw(self, image: Image) -> NDArray[np.uint8]:
        """An RGB picture (H, W, 3) of the image with mask, objects and boxes over it, and the label in its corner.

        Raises `UsageError` where the image has another size.
        """
        picture = to_display(stored_values(image))
        for result in (self.segment, self.instances):
            picture = picture if result is None else result.draw(picture)
        if self.detect is not None:
            return self.detect.draw(picture, self.classify.caption if self.classify is not None else "")
        return picture if self.classify is None else self.classify.draw(picture)

    def to_table(self, image: Image | None = None) -> dict[str, list[dict[str, Any]]]:
        """The tables of the heads; with the image that of the objects has their mean intensities."""
        return {
            task: result.to_table(image) if isinstance(result, InstanceResult) else result.to_table()
            for task, result in self.results().items()
        }

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

    def results(self) -> dict[TaskName, Result]:
        """Of the heads there are, in the order in which they are drawn."""
        return {task: getattr(self, task) for task in TASKS if getattr(self, task) is not None}
