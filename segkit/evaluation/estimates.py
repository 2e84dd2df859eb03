"""A score with its interval: the value on all units, and how far it moves when other units had been drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkit.metrics import MINIMUM_UNITS, Interval, bootstrap_intervals, weighted_intervals
from segkit.structures import Record

Statistic = Callable[[NDArray[Any]], NDArray[np.float64]]


class Estimate(NamedTuple):
    """One score; NaN where nothing was counted, no interval below ten units."""

    value: float
    interval: Interval | None

    def to_json(self) -> dict[str, Any]:
        """`{"value": ..., "interval": [low, high]}` with null for what is not known."""
        return {"value": number(self.value), "interval": None if self.interval is None else list(self.interval)}


def estimates(
    unit_sums: NDArray[Any], statistic: Statistic, counted_units: Sequence[int], quick: bool
) -> list[Estimate]:
    """Scores of a data set with their 95 % intervals.

    Args:
        unit_sums: (U, ...) what each independent unit adds to the data set's sums.
        statistic: sums (..., *shape) to scores (..., S).
        counted_units: for each score the number of units that say something about it; below ten it has no interval.
        quick: whether to leave out the intervals.
    """
    intervals = None if quick else bootstrap_intervals(unit_sums, statistic)
    return _joined(statistic(unit_sums.sum(axis=0)), intervals, counted_units)


def weighted_estimates(
    records: Sequence[Record], statistic: Statistic, counted_units: Sequence[int], quick: bool
) -> list[Estimate]:
    """As `estimates` for scores that are no function of sums over units.

    Args:
        records: the N images.
        statistic: how often data sets hold each image (R, N) to scores (R, S).
        counted_units: as of `estimates`.
        quick: as of `estimates`.
    """
    positions = _positions([record.unit for record in records])
    places = [positions[record.unit] for record in records]
    intervals = None if quick else weighted_intervals(len(positions), lambda counts: statistic(counts[:, places]))
    return _joined(statistic(np.ones((1, len(records))))[0], intervals, counted_units)


def sum_by_unit(per_image: NDArray[Any], records: Sequence[Record]) -> tuple[list[str], NDArray[Any]]:
    """The units in order of appearance, and (U, ...) the sums of their images from (N, ...)."""
    positions = _positions([record.unit for record in records])
    sums = np.zeros((len(positions), *per_image.shape[1:]), per_image.dtype)
    np.add.at(sums, [positions[record.unit] for record in records], per_image)
    return list(positions), sums


def unit_name(records: Sequence[Record]) -> str:
    """What the interval draws: `"group"` where images belong to groups, else `"image"`."""
    return "group" if any(record.group is not None for record in records) else "image"


def number(value: float) -> float | None:
    """`value` for JSON and CSV, which have no NaN: None."""
    return None if math.isnan(value) else float(value)


def _joined(
    values: NDArray[np.float64], intervals: Sequence[Interval] | None, counted_units: Sequence[int]
) -> list[Estimate]:
    """Values with the intervals of those that enough units say something about."""
    if intervals is None:
        return [Estimate(float(value), None) for value in values]
    enough = [count >= MINIMUM_UNITS for count in counted_units]
    return [Estimate(float(v), i if e else None) for v, i, e in zip(values, intervals, enough, strict=True)]


def _positions(names: Sequence[Hashable]) -> dict[Any, int]:
    return {name: position for position, name in enumerate(dict.fromkeys(names))}
