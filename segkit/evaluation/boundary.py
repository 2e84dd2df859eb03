"""How far predicted outlines lie from the true ones, image by image, beside what was missed and what was invented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.evaluation.estimates import Estimate, estimates, number, sum_by_unit
from segkit.metrics.boundary import BoundaryScores, class_boundary_scores
from segkit.metrics.region import FloatArray, mean_of_counted, ratio
from segkit.structures import ClassMap, Record, Sample

MEASURES = BoundaryScores._fields
LOWER_IS_BETTER = ("hd95", "assd")

RULE = (
    "mean over the images in which reference and prediction both hold the class; where only the reference does it is "
    "missed, where only the prediction does it is invented, and neither is in the mean"
)


class BoundaryTally:
    """Collects three numbers per image and foreground class.

    Args:
        classes: what the masks mean.
        tolerance: of the NSD, in mm where the images state their spacing, else in pixels.
    """

    def __init__(self, classes: ClassMap, tolerance: float) -> None:
        self.tolerance = tolerance
        self._classes = classes
        self._values: list[FloatArray] = []
        self._missed: list[NDArray[np.bool_]] = []
        self._invented: list[NDArray[np.bool_]] = []
        self._units: list[str] = []

    def add(self, sample: Sample, prediction: NDArray[np.int16], sums: NDArray[np.int64]) -> None:
        """Count one image with a mask, its prediction (H, W) class indices and its region sums (3, K)."""
        assert sample.mask is not None
        foreground = list(self._classes.foreground)
        held, predicted = sums[1, foreground] > 0, sums[2, foreground] > 0
        spacing = sample.spacing or (1.0, 1.0)
        nothing = BoundaryScores(*[np.nan] * len(MEASURES))
        values = [
            class_boundary_scores(sample.mask, prediction, class_, self.tolerance, spacing) if both else nothing
            for class_, both in zip(foreground, held & predicted, strict=True)
        ]
        self._values.append(np.array(values, np.float64).reshape(-1, len(MEASURES)).T)
        self._missed.append(held & ~predicted)
        self._invented.append(predicted & ~held)
        self._units.append("pixels" if sample.spacing is None else "mm")

    def rows(self) -> list[dict[str, Any]]:
        """Per image the number of classes missed and invented, the unit, and each measure of each foreground class."""
        names = [self._classes.names[index] for index in self._classes.foreground]
        return [
            {"missed": int(missed.sum()), "invented": int(invented.sum()), "boundary_unit": unit}
            | {
                f"{measure} {name}": number(value)
                for measure, of_classes in zip(MEASURES, values, strict=True)
                for name, value in zip(names, of_classes, strict=True)
            }
            for values, missed, invented, unit in zip(
                self._values, self._missed, self._invented, self._units, strict=True
            )
        ]

    @property
    def unit(self) -> str | None:
        """`"mm"`, `"pixels"`, or None where only some images state their spacing: then there is no mean."""
        return self._units[0] if len(set(self._units)) == 1 else None

    def scores(self, records: Sequence[Record]) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
        """The means over the foreground classes, and for each of these, by its index, its own; JSON-ready."""
        per_class, whole = self._estimates(records)
        missed, invented = np.sum(self._missed, axis=0), np.sum(self._invented, axis=0)
        counted = self._counted.sum(axis=0)
        of_whole = {
            "unit": self.unit,
            "tolerance": self.tolerance,
            "rule": RULE,
            **{measure: estimate.to_json() for measure, estimate in zip(MEASURES, whole, strict=True)},
            "missed": int(missed.sum()),
            "invented": int(invented.sum()),
        }
        of_classes = {
            class_: {
                **{measure: row[place].to_json() for measure, row in zip(MEASURES, per_class, strict=True)},
                "images_counted": int(counted[place]),
                "missed": int(missed[place]),
                "invented": int(invented[place]),
            }
            for place, class_ in enumerate(self._classes.foreground)
        }
        return of_whole, of_classes

    @property
    def _counted(self) -> NDArray[np.bool_]:
        """(N, F) whether the image counts for the class."""
        return ~np.isnan(np.stack(self._values)[:, 0])

    def _estimates(self, records: Sequence[Record]) -> tuple[list[list[Estimate]], list[Estimate]]:
        """(measures, classes) means over images, and their means over classes."""
        values, counted = np.stack(self._values), self._counted
        num_measures, num_classes = values.shape[1:]
        if self.unit is None:
            unknown = Estimate(float("nan"), None)
            return [[unknown] * num_classes] * num_measures, [unknown] * num_measures
        per_image = np.concatenate([np.nan_to_num(values), counted[:, None]], axis=1)
        _, unit_sums = sum_by_unit(per_image, records)

        def statistic(sums: NDArray[Any]) -> FloatArray:
            means = ratio(sums[..., :-1, :], sums[..., -1:, :])
            whole = mean_of_counted(means)
            return np.concatenate([means.reshape(*means.shape[:-2], -1), whole], axis=-1)

        units_counted = unit_sums[:, -1] > 0
        of_classes = [int(number_of_units) for number_of_units in units_counted.sum(axis=0)]
        of_whole = [int(units_counted.any(axis=1).sum())]
        found = estimates(unit_sums, statistic, of_classes * num_measures + of_whole * num_measures, quick=False)
        per_class = [found[start * num_classes : (start + 1) * num_classes] for start in range(num_measures)]
        return per_class, found[num_measures * num_classes :]
