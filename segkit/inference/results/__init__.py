"""What a prediction gives, one class per task, and `CombinedResult` for networks of several heads. No torch."""

from segkit.inference.results.classification import ClassificationResult
from segkit.inference.results.combined import CombinedResult, Result
from segkit.inference.results.detection import DetectionResult
from segkit.inference.results.instances import InstanceResult
from segkit.inference.results.segmentation import SegmentationResult
from segkit.inference.results.uncertainty import Uncertainty

__all__ = [
    "ClassificationResult",
    "CombinedResult",
    "DetectionResult",
    "InstanceResult",
    "Result",
    "SegmentationResult",
    "Uncertainty",
]
