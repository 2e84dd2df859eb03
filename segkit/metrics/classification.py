"""Scores of image classification: whether the class is among the most probable ones.

Top-1 accuracy and F1 follow from the sums that `segkit.metrics.region` counts, with images in the place of pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def top_k_correct(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], k: int
) -> NDArray[np.bool_]:
    """(N,) whether the class is among the `k` most probable of (N, K); among equals the lower index comes first."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return (best == labels[:, None]).any(axis=1)
