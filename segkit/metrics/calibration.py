"""How far probabilities can be believed: reliability, expected calibration error, and the temperature that mends it.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017. A network whose probabilities
are calibrated is right in 8 of 10 of the cases of which it says 0.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

BINS = 15
"""Of equal width between confidence 0 and 1, as in the paper."""

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures between which the best is looked for."""


@dataclass(frozen=True)
class Reliability:
    """Cases in `BINS` by the probability of the class decided on.

    Attributes:
        counts: (B,) cases.
        confidences: (B,) mean probability, NaN where there is no case.
        accuracies: (B,) share that is right, likewise.
    """

    counts: NDArray[np.int64]
    confidences: NDArray[np.float64]
    accuracies: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error (equation 3): mean distance of both, over all cases."""
        return float(np.nansum(self.counts * np.abs(self.accuracies - self.confidences)) / self.counts.sum())

    def to_json(self) -> dict[str, Any]:
        """Lists, None for empty bins."""
        return {
            "counts": self.counts.tolist(),
            "confidences": [None if np.isnan(value) else round(float(value), 6) for value in self.confidences],
            "accuracies": [None if np.isnan(value) else round(float(value), 6) for value in self.accuracies],
        }


def reliability(probabilities: NDArray[np.float32], labels: NDArray[np.integer[Any]]) -> Reliability:
    """Of probabilities (N, K) of cases whose class indices are `labels` (N,)."""
    confidences = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidences * BINS).astype(np.intp) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(bins, values, BINS) / counts for values in (confidences, right)]
    return Reliability(counts, *means)


def likelihood(logits: NDArray[np.float32], labels: NDArray[np.integer[Any]], temperature: float = 1.0) -> float:
    """Mean negative log-likelihood of classes `labels` (N,), logits (N, K) divided by the temperature."""
    cold = logits.astype(np.float64) / temperature
    cold -= cold.max(axis=1, keepdims=True)
    return float((np.log(np.exp(cold).sum(axis=1)) - cold[np.arange(len(labels)), labels]).mean())


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.integer[Any]]) -> float:
    """The temperature of the least negative log-likelihood (section 4.2), between `COLDEST` and `HOTTEST`."""
    found = minimize_scalar(
        lambda exponent: likelihood(logits, labels, float(np.exp(exponent))),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))
