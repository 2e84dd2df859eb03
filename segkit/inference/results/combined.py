"""What a network of several heads says of one image."""

from __future__ import annotations

from dataclasses import dataclass

from segkit.inference.results.classification import ClassificationResult
from segkit.inference.results.detection import DetectionResult
from segkit.inference.results.instances import InstanceResult
from segkit.inference.results.segmentation import SegmentationResult

Result = SegmentationResult | InstanceResult | DetectionResult | ClassificationResult
"""What one head says."""


@dataclass(frozen=True)
class CombinedResult:
    """One result per head, from one pass through the backbone; None for heads that the network has not."""

    segment: SegmentationResult | None = None
    instances: InstanceResult | None = None
    detect: DetectionResult | None = None
    classify: ClassificationResult | None = None
