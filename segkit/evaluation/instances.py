"""Scores of objects pixel by pixel: precision at one half, panoptic quality, and how well they are counted."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.errors import DataError
from segkit.evaluation.estimates import estimates, number, sum_by_unit, unit_name
from segkit.inference.results import InstanceResult
from segkit.metrics import MINIMUM_UNITS
from segkit.metrics.instances import InstanceScores, instance_scores
from segkit.metrics.region import FloatArray, ratio
from segkit.structures import ClassMap, Instances, Record, Sample
from segkit.visualization.instances import instances_side_by_side

RULE = (
    "AP@0.5 is TP / (TP + FP + FN) at an intersection over union above one half, image by image, then the mean over "
    "images (as Cellpose and StarDist report it); images without objects in reference and prediction are not counted"
)


class InstanceTally:
    """Matches the objects of one image at a time."""

    task: Literal["instances"] = "instances"
    confusion = None

    def __init__(self, classes: ClassMap) -> None:
        self.classes = classes
        self._records: list[Record] = []
        self._found: list[InstanceScores] = []
        self._of_classes: list[list[InstanceScores]] = []

    def add(self, sample: Sample, prediction: InstanceResult) -> float:
        """Count one image; returns its AP@0.5, NaN without any object. Raises `DataError` without known objects."""
        reference = sample.instances
        if reference is None:
            raise DataError(f"{sample.record.id} has no objects told apart; evaluating instances needs them")
        self._records.append(sample.record)
        self._found.append(instance_scores(reference, prediction.ids, prediction.labels))
        self._of_classes.append(
            [_of_class(reference, prediction, class_) for class_ in self.classes.foreground]
            if len(self.classes.foreground) > 1
            else [self._found[-1]]
        )
        return self._found[-1].precision

    def picture(self, sample: Sample, prediction: InstanceResult) -> tuple[NDArray[np.uint8], str]:
        """Reference and prediction beside each other."""
        assert sample.instances is not None
        picture = instances_side_by_side(sample.image, sample.instances.ids, prediction.ids)
        return picture, f"{len(sample.instances.labels)} marked, {len(prediction)} found"

    def rows(self) -> list[dict[str, Any]]:
        """One row per image: id, unit, objects, predicted objects, AP@0.5, pairs, missed, invented, count error."""
        return [
            {
                "image": record.id,
                "unit": record.unit,
                "objects": found.references,
                "predicted": found.predicted,
                "ap50": number(found.precision),
                "found": found.found,
                "missed": found.missed,
                "invented": found.invented,
                "count_error": number(_count_error(found)),
            }
            for record, found in zip(self._records, self._found, strict=True)
        ]

    def scores(self, quick: bool) -> dict[str, Any]:
        """All scores, JSON-ready; `quick` leaves out the intervals."""
        whole, units = _estimates(self._found, self._records, quick)
        of_classes = [
            _estimates([found[place] for found in self._of_classes], self._records, quick)[0]
            for place in range(len(self.classes.foreground))
        ]
        return {
            "task": "instances",
            "metric": "AP@0.5",
            "score": whole["ap50"]["value"],
            "interval": whole["ap50"]["interval"],
            "images": len(self._records),
            "unit": unit_name(self._records),
            "units": len(units),
            "unit_scores": self._unit_scores(units),
            "rule": RULE,
            "not_counted": sum(not found.references + found.predicted for found in self._found),
            "dataset": whole,
            "classes": [
                self._class_row(place, class_, of_classes[place])
                for place, class_ in enumerate(self.classes.foreground)
            ],
        }

    def _unit_scores(self, units: list[str]) -> dict[str, float | None] | None:
        """The mean AP@0.5 of every unit where there are too few for an interval."""
        if len(units) >= MINIMUM_UNITS:
            return None
        of_units: dict[str, list[float]] = {unit: [] for unit in units}
        for record, found in zip(self._records, self._found, strict=True):
            if not np.isnan(found.precision):
                of_units[record.unit].append(found.precision)
        return {unit: sum(values) / len(values) if values else None for unit, values in of_units.items()}

    def _class_row(self, place: int, class_: int, scores: dict[str, Any]) -> dict[str, Any]:
        found = [of_classes[place] for of_classes in self._of_classes]
        return {
            "name": self.classes.names[class_],
            "id": self.classes.ids[class_],
            "color": list(self.classes.colors[class_]),
            "foreground": True,
            **scores,
            "objects": sum(one.references for one in found),
            "found": sum(one.found for one in found),
            "invented": sum(one.invented for one in found),
        }


def _of_class(reference: Instances, prediction: InstanceResult, class_: int) -> InstanceScores:
    """The scores of the objects of one class alone."""
    return instance_scores(
        _only(reference, class_), *_parts(_only(Instances(prediction.ids, prediction.labels), class_))
    )


def _only(instances: Instances, class_: int) -> Instances:
    """The objects of one class, ids without gaps."""
    kept = np.flatnonzero(instances.labels == class_) + 1
    renamed = np.zeros(len(instances.labels) + 2, np.int32)
    renamed[-1] = -1
    renamed[kept] = np.arange(1, len(kept) + 1)
    return Instances(renamed[instances.ids], instances.labels[kept - 1])


def _parts(instances: Instances) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    return instances.ids, instances.labels


def _count_error(found: InstanceScores) -> float:
    """|predicted - true| / true; NaN without true objects."""
    return abs(found.predicted - found.references) / found.references if found.references else float("nan")


def _estimates(
    found: list[InstanceScores], records: list[Record], quick: bool
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """AP@0.5, panoptic quality, its two factors, and the count error, from sums over images; and the units."""
    precision = np.array([one.precision for one in found])
    errors = np.array([_count_error(one) for one in found])
    sums = np.stack(
        [
            np.nan_to_num(precision), ~np.isnan(precision), np.nan_to_num(errors), ~np.isnan(errors),
            [one.iou for one in found], [one.found for one in found],
            [one.invented for one in found], [one.missed for one in found],
        ],
        axis=1,
    ).astype(np.float64)  # fmt: skip
    units, unit_sums = sum_by_unit(sums, records)

    def statistic(totals: NDArray[Any]) -> FloatArray:
        ap, images, error, with_objects, iou, right, invented, missed = np.moveaxis(totals, -1, 0)
        recognized = right + (invented + missed) / 2
        values = [
            ratio(ap, images), ratio(iou, recognized), ratio(iou, right), ratio(right, recognized),
            ratio(error, with_objects),
        ]  # fmt: skip
        return np.stack(values, axis=-1)

    names = ("ap50", "panoptic_quality", "segmentation_quality", "recognition_quality", "count_error")
    values = estimates(unit_sums, statistic, [len(units)] * len(names), quick)
    return {name: value.to_json() for name, value in zip(names, values, strict=True)}, units
