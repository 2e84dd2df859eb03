"""Scores of image classification.

Accuracy and F1 follow from the sums that `segkit.metrics.region` counts, with images in the place of pixels; so do the
precision and the recall of a class (van Rijsbergen, Information Retrieval, 1979, chapter 7).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.metrics.region import FloatArray, ratio


def top_k_correct(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], k: int
) -> NDArray[np.bool_]:
    """(N,) whether the class is among the `k` most probable of (N, K); among equals the lower index comes first."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return (best == labels[:, None]).any(axis=1)


def precision(sums: NDArray[Any]) -> FloatArray:
    """Share (..., K) of the images predicted as a class that are of it, from (..., 3, K) sums; NaN where none is."""
    hits, _, predicted = np.moveaxis(sums, -2, 0)
    return ratio(hits, predicted)


def recall(sums: NDArray[Any]) -> FloatArray:
    """Share (..., K) of the images of a class that are predicted as it, from (..., 3, K) sums; NaN where none is."""
    hits, reference, _ = np.moveaxis(sums, -2, 0)
    return ratio(hits, reference)
