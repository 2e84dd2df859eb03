"""Confidence intervals by the percentile bootstrap over independent units.

Pixels of one image, slices of one stack and frames of one video are not independent, so what is drawn again with
replacement is the whole unit (B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2000
MINIMUM_UNITS = 10
"""Below this number of units no interval is claimed: their values are listed instead."""

_DRAWS_AT_ONCE = 2_000_000


class Interval(NamedTuple):
    """The 2.5th and 97.5th percentile of a score over the resampled data sets."""

    low: float
    high: float


def bootstrap_interval(
    unit_sums: NDArray[Any], statistic: Callable[[NDArray[Any]], NDArray[np.float64]], seed: int = 0
) -> Interval | None:
    """The 95 % interval of one score.

    Args:
        unit_sums: (U, ...) what each unit adds to the data set's sums.
        statistic: resampled sums (R, ...) to scores (R,); NaN where a resample has no score.
        seed: of the resampling.

    Returns:
        None below `MINIMUM_UNITS` units.
    """
    intervals = bootstrap_intervals(unit_sums, lambda sums: statistic(sums)[:, None], seed)
    return None if intervals is None else intervals[0]


def bootstrap_intervals(
    unit_sums: NDArray[Any], statistic: Callable[[NDArray[Any]], NDArray[np.float64]], seed: int = 0
) -> list[Interval] | None:
    """As `bootstrap_interval` for several scores on the same resamples: `statistic` maps (R, ...) to (R, S)."""
    if len(unit_sums) < MINIMUM_UNITS:
        return None
    flat = unit_sums.reshape(len(unit_sums), -1).astype(np.float64)
    return weighted_intervals(
        len(unit_sums), lambda counts: statistic((counts @ flat).reshape(len(counts), *unit_sums.shape[1:])), seed
    )


def weighted_intervals(
    units: int, statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]], seed: int = 0
) -> list[Interval] | None:
    """As `bootstrap_intervals` for scores that follow from no sum over units.

    Args:
        units: U.
        statistic: how often each resample holds each unit (R, U) to scores (R, S).
        seed: of the resampling.
    """
    if units < MINIMUM_UNITS:
        return None
    generator = np.random.default_rng(seed)
    block = max(1, _DRAWS_AT_ONCE // units)
    sizes = [min(block, RESAMPLES - start) for start in range(0, RESAMPLES, block)]
    scores = np.concatenate([statistic(_draw_counts(units, size, generator)) for size in sizes])
    return [_percentiles(column) for column in scores.T]


def _draw_counts(units: int, resamples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """(R, U) how often each resample holds each unit."""
    draws = generator.integers(units, size=(resamples, units))
    draws += units * np.arange(resamples)[:, None]
    return np.bincount(draws.ravel(), minlength=resamples * units).reshape(resamples, units).astype(np.float64)


def _percentiles(scores: NDArray[np.float64]) -> Interval:
    tail = 100 * (1 - LEVEL) / 2
    defined = scores[~np.isnan(scores)]
    if defined.size == 0:
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(float(low), float(high))
