"""Scores of image classification: top-1, top-k, F1 per class, confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.metrics.region import accuracy, class_dice, confusion_matrix, mean_of_counted, region_sums


@dataclass(frozen=True)
class ClassificationScores:
    """Scores of N classified images.

    Attributes:
        top_1: share of images whose most probable class is right.
        top_5: share of images whose class is among the five most probable ones; None with five classes or fewer.
        f1: (K,) F1 per class, NaN for a class neither present nor predicted.
        confusion: (K, K) images, one row per reference class.
    """

    top_1: float
    top_5: float | None
    f1: NDArray[np.float64]
    confusion: NDArray[np.int64]

    @classmethod
    def from_probabilities(
        cls, probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]
    ) -> ClassificationScores:
        """Scores from (N, K) class probabilities and (N,) class indices."""
        num_classes = probabilities.shape[1]
        predicted = np.argmax(probabilities, axis=1)
        confusion = confusion_matrix(labels, predicted, num_classes)
        sums = region_sums(confusion)
        top_5 = float(top_k_correct(probabilities, labels, 5).mean()) if num_classes > 5 else None
        return cls(float(accuracy(sums)), top_5, class_dice(sums), confusion)

    @property
    def mean_f1(self) -> float:
        """Mean F1 over the classes present or predicted (macro F1)."""
        return float(mean_of_counted(self.f1))


def top_k_correct(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], k: int
) -> NDArray[np.bool_]:
    """(N,) whether the class is among the `k` most probable of (N, K); among equals the lower index comes first."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return (best == labels[:, None]).any(axis=1)
