"""Predictors whose answers are known beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.inference.results import ClassificationResult, CombinedResult, Result, SegmentationResult
from segkit.structures import ClassMap, TaskName

CLASSES = ClassMap(
    ("background", "cell", "debris"),
    ((0, 0, 0), (0, 158, 115), (213, 94, 0)),
    ids=(0, 10, 20),
    values={0: 0, 10: 1, 20: 2, 255: -1},
)
Ids = NDArray[np.uint8]


class KnownResults:
    """Predicts the result that belongs to an image; the image's first pixel is its number."""

    def __init__(
        self, results: Sequence[Result | CombinedResult], heads: Mapping[TaskName, ClassMap], threshold: float = 0.5
    ) -> None:
        self.results = results
        self.heads = heads
        self.threshold = threshold

    def predict(self, image: NDArray[Any]) -> Result | CombinedResult:
        return self.results[int(image[0, 0, 0])]


class KnownMasks:
    """Predicts the mask that belongs to an image; the image's first pixel is its number."""

    threshold = 0.5

    def __init__(self, masks: Sequence[Ids], classes: ClassMap = CLASSES) -> None:
        self.masks = masks
        self.classes = classes
        self.heads: Mapping[TaskName, ClassMap] = {"segment": classes}
        self.calls = 0

    def predict(self, image: NDArray[Any]) -> SegmentationResult:
        self.calls += 1
        return SegmentationResult(self.masks[int(image[0, 0, 0])], self.classes)


class KnownProbabilities:
    """Predicts the probabilities that belong to an image; the image's first pixel is its number."""

    threshold = 0.5

    def __init__(self, probabilities: NDArray[np.float32], classes: ClassMap) -> None:
        self.probabilities = probabilities
        self.classes = classes
        self.heads: Mapping[TaskName, ClassMap] = {"classify": classes}

    def predict(self, image: NDArray[Any]) -> ClassificationResult:
        return ClassificationResult(self.probabilities[int(image[0, 0, 0])], self.classes.names)


def random_masks(count: int, seed: int = 0) -> tuple[list[Ids], list[Ids]]:
    """Reference masks with some ignored pixels, and predictions that get about four of five pixels right."""
    generator = np.random.default_rng(seed)
    references, predictions = [], []
    for _ in range(count):
        size = tuple(generator.integers(12, 40, 2))
        reference = generator.choice([0, 10, 20, 255], size, p=[0.5, 0.3, 0.15, 0.05]).astype(np.uint8)
        other = generator.choice([0, 10, 20], size).astype(np.uint8)
        predictions.append(np.where((generator.random(size) < 0.7) & (reference != 255), reference, other))
        references.append(reference)
    return references, predictions
