"""COCO's scores per class, and their means over the classes that occur, with intervals over units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.evaluation.estimates import Estimate, number, weighted_estimates
from segkit.metrics.average_precision import (
    RECALLS,
    Ranking,
    at_threshold,
    average_precisions,
    precision_curve,
    rank,
)
from segkit.metrics.detection import AREAS, THRESHOLDS, Matches
from segkit.metrics.region import FloatArray, mean_of_counted
from segkit.structures import Record

MEASURES = ("ap", "ap50", "ap75", "ar", "ap_small", "ap_medium", "ap_large")
"""The last three are AP of objects below 32 x 32 pixels, up to 96 x 96, and larger."""

_OF_ALL = 4
_AT_75 = int(np.argmin(np.abs(THRESHOLDS - 0.75)))


class PrecisionScores:
    """The scores of a data set.

    Args:
        matches: of every image one entry per class.
        records: the images.
    """

    def __init__(self, matches: Sequence[Sequence[Matches]], records: Sequence[Record]) -> None:
        self.rankings = [rank(of_class) for of_class in zip(*matches, strict=True)]
        self._records = records

    def estimates(self, quick: bool) -> tuple[list[dict[str, Estimate]], dict[str, Estimate]]:
        """The `MEASURES` of each class, and their means; NaN where no object counts; `quick` leaves out the intervals.

        An interval asks for ten units that hold objects of the class and size.
        """
        found = weighted_estimates(self._records, self._statistic, self._units_with_objects(), quick)
        rows = [
            dict(zip(MEASURES, found[start : start + len(MEASURES)], strict=True))
            for start in range(0, len(found), len(MEASURES))
        ]
        return rows[:-1], rows[-1]

    def curves(self, threshold: float) -> list[dict[str, Any]]:
        """Precision over recall of each class at an overlap of one half, JSON-ready; see `_curve`."""
        return [_curve(ranking, threshold) for ranking in self.rankings]

    def _statistic(self, weights: FloatArray) -> FloatArray:
        """(R, (K + 1) * 7) measures of every class and their means, from how often images count (R, N)."""
        of_classes = np.stack([_measures(ranking, weights) for ranking in self.rankings], axis=1)
        means = mean_of_counted(of_classes, axis=1)[:, None]
        return np.concatenate([of_classes, means], axis=1).reshape(len(weights), -1)

    def _units_with_objects(self) -> list[int]:
        """For each entry of `_statistic` the number of units with objects it is about."""
        units = np.array([record.unit for record in self._records])
        of_classes = np.stack([ranking.objects for ranking in self.rankings])
        areas = [0] * _OF_ALL + list(range(1, len(AREAS)))
        return [
            len(set(units[objects[:, area] > 0])) for objects in (*of_classes, of_classes.sum(axis=0)) for area in areas
        ]


def _curve(ranking: Ranking, threshold: float) -> dict[str, Any]:
    """Precision and score at each recall, and recall and precision of what is shown from the threshold on.

    No values of a class without objects.
    """
    curve = precision_curve(ranking)
    if curve is None:
        return {"recall": [], "precision": [], "score": [], "shown": None}
    recall, precision = at_threshold(ranking, threshold)
    return {
        "recall": RECALLS.round(2).tolist(),
        "precision": curve.precision.round(4).tolist(),
        "score": [number(score) for score in curve.scores.round(4)],
        "shown": {"recall": number(recall), "precision": number(precision)},
    }


def _measures(ranking: Ranking, weights: NDArray[Any]) -> FloatArray:
    """(R, 7) the `MEASURES` of one class."""
    precisions, recalls = average_precisions(ranking, weights)
    ap = precisions.mean(axis=2)
    of_all = [ap[:, 0], precisions[:, 0, 0], precisions[:, 0, _AT_75], recalls[:, 0].mean(axis=1)]
    return np.stack([*of_all, *ap[:, 1:].T], axis=1)
