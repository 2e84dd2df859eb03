"""A small data set on disk and predictors whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segkit.structures import ClassificationResult, ClassMap, Record, SegmentationResult

CLASSES = ClassMap(
    ("background", "cell", "debris"),
    ((0, 0, 0), (0, 158, 115), (213, 94, 0)),
    ids=(0, 10, 20),
    values={0: 0, 10: 1, 20: 2, 255: -1},
)
Ids = NDArray[np.uint8]


class KnownMasks:
    """Predicts the mask that belongs to an image; the image's first pixel is its number."""

    task: Literal["segment"] = "segment"

    def __init__(self, masks: Sequence[Ids], classes: ClassMap = CLASSES) -> None:
        self.masks = masks
        self.classes = classes
        self.calls = 0

    def predict(self, image: NDArray[Any]) -> SegmentationResult:
        self.calls += 1
        return SegmentationResult(self.masks[int(image[0, 0, 0])], self.classes)


class KnownProbabilities:
    """Predicts the probabilities that belong to an image; the image's first pixel is its number."""

    task: Literal["classify"] = "classify"

    def __init__(self, probabilities: NDArray[np.float32], classes: ClassMap) -> None:
        self.probabilities = probabilities
        self.classes = classes

    def predict(self, image: NDArray[Any]) -> ClassificationResult:
        return ClassificationResult(self.probabilities[int(image[0, 0, 0])], self.classes.names)


WriteRecords = Callable[..., list[Record]]


@pytest.fixture
def write_records(tmp_path: Path) -> WriteRecords:
    """Write one image and mask per array of ids; `groups` and `labels` go into the records."""

    def write(masks: Sequence[Ids], groups: Sequence[str] = (), labels: Sequence[str] = ()) -> list[Record]:
        records = []
        for number, mask in enumerate(masks):
            image = np.full(mask.shape, 90, np.uint8) + mask
            image[0, 0] = number
            paths = tmp_path / f"image{number:02d}.png", tmp_path / f"mask{number:02d}.png"
            Image.fromarray(image).save(paths[0])
            Image.fromarray(mask).save(paths[1])
            group, label = (groups[number] if groups else None), (labels[number] if labels else None)
            records.append(Record(f"set/{number:02d}", paths[0], None if labels else paths[1], label, group))
        return records

    return write


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
