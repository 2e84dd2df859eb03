"""Scores of objects pixel by pixel: precision at one half, panoptic quality, counts, and COCO's average precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.errors import DataError
from segkit.evaluation.estimates import Estimate, estimates, number, sum_by_unit, unit_name
from segkit.evaluation.marked import marked_overlaps
from segkit.evaluation.precision import PrecisionScores
from segkit.inference.results import InstanceResult
from segkit.metrics import MINIMUM_UNITS
from segkit.metrics.detection import MOST_DETECTIONS, Matches
from segkit.metrics.instances import (
    count_error,
    object_sums,
    pair_objects,
    panoptic_quality,
    precision_at_half,
)
from segkit.metrics.masks import match_masks
from segkit.metrics.region import FloatArray, ratio
from segkit.structures import ClassMap, Instances, Record, Sample
from segkit.visualization.instances import instances_side_by_side

_RULE = (
    "AP@0.5 is TP / (TP + FP + FN) at an intersection over union above one half, image by image, then the mean over "
    "images (as Cellpose and StarDist report it); images without objects in reference and prediction are not counted"
)
_COCO_RULE = (
    "COCO's AP ranks all objects by score and is the mean over intersections over union of 0.50 to 0.95 and over "
    f"classes that occur (pycocotools' segm); of one class the {MOST_DETECTIONS} surest objects of an image count, "
    "outlines that cover one another count whole, and regions marked as crowd or as ignored do not count"
)


class InstanceTally:
    """Pairs the objects of one image at a time.

    Args:
        classes: background and the classes of objects.
        coco: whether to compute COCO's average precision too.
    """

    task: Literal["instances"] = "instances"
    confusion = None

    def __init__(self, classes: ClassMap, coco: bool) -> None:
        self.classes = classes
        self._records: list[Record] = []
        self._sums: list[NDArray[np.float64]] = []
        self._matches: list[list[Matches]] | None = [] if coco else None

    def add(self, sample: Sample, prediction: InstanceResult) -> float:
        """Count one image; returns its AP@0.5, NaN without any object. Raises `DataError` without known objects."""
        reference = sample.instances
        if reference is None:
            raise DataError(f"{sample.record.id} has no objects told apart; evaluating instances needs them")
        predicted = Instances(prediction.ids, prediction.labels)
        pairs = pair_objects(reference, predicted)
        self._records.append(sample.record)
        self._sums.append(object_sums(pairs, reference, predicted, self.classes.num_classes))
        if self._matches is not None:
            overlaps = marked_overlaps(sample, self.classes, predicted)
            self._matches.append(
                [match_masks(overlaps, prediction.labels, prediction.scores, i) for i in self.classes.foreground]
            )
        return float(precision_at_half(self._sums[-1].sum(axis=1)))

    def picture(self, sample: Sample, prediction: InstanceResult) -> tuple[NDArray[np.uint8], str]:
        """Reference and prediction beside each other."""
        assert sample.instances is not None
        picture = instances_side_by_side(sample.image, sample.instances.ids, prediction.ids)
        return picture, f"{len(sample.instances.labels)} marked, {len(prediction)} predicted"

    def rows(self) -> list[dict[str, Any]]:
        """One row per image: id, unit, objects, predicted objects, AP@0.5, pairs, missed, invented, count error."""
        rows = []
        for record, sums in zip(self._records, self._whole, strict=True):
            found, objects, predicted = (int(number) for number in sums[:3])
            rows.append(
                {
                    "image": record.id,
                    "unit": record.unit,
                    "objects": objects,
                    "predicted": predicted,
                    "ap50": number(float(precision_at_half(sums))),
                    "found": found,
                    "missed": objects - found,
                    "invented": predicted - found,
                    "count_error": number(float(count_error(sums))),
                }
            )
        return rows

    def scores(self, quick: bool) -> dict[str, Any]:
        """All scores, JSON-ready; `quick` leaves out the intervals."""
        units = list(dict.fromkeys(record.unit for record in self._records))
        whole = _estimates(self._whole, self._records, quick)
        coco, of_classes, curves = self._coco(quick)
        return {
            "task": "instances",
            "metric": "AP@0.5",
            "score": whole["ap50"]["value"],
            "interval": whole["ap50"]["interval"],
            "images": len(self._records),
            "unit": unit_name(self._records),
            "units": len(units),
            "unit_scores": self._unit_scores(units),
            "rule": _RULE,
            "not_counted": int(np.isnan(precision_at_half(self._whole)).sum()),
            "dataset": whole,
            "coco": coco,
            "classes": [
                self._class_row(class_, quick) | {"coco": found}
                for class_, found in zip(self.classes.foreground, of_classes, strict=True)
            ],
            "curves": curves,
        }

    def _coco(self, quick: bool) -> tuple[dict[str, Any] | None, Sequence[dict[str, Any] | None], dict[str, Any]]:
        """COCO's scores of the data set, and of each class of objects, and their curves; JSON-ready."""
        foreground = self.classes.foreground
        if self._matches is None:
            return None, [None] * len(foreground), {}
        precision = PrecisionScores(self._matches, self._records)
        per_class, means = precision.estimates(quick)
        whole = {"rule": _COCO_RULE, "cut": self._cut, **_plain(means)}
        names = [self.classes.names[class_] for class_ in foreground]
        # All objects are shown, whatever their scores.
        return whole, [_plain(found) for found in per_class], dict(zip(names, precision.curves(0.0), strict=True))

    @property
    def _cut(self) -> int:
        """Number of images that hold more objects of a class than COCO lets count."""
        objects = np.stack(self._sums)[:, 1]
        return int((objects > MOST_DETECTIONS).any(axis=1).sum())

    @property
    def _whole(self) -> NDArray[np.float64]:
        """(N, 4) the sums of each image over its classes."""
        return np.stack(self._sums).sum(axis=2)

    def _unit_scores(self, units: list[str]) -> dict[str, float | None] | None:
        """The mean AP@0.5 of every unit where there are too few for an interval."""
        if len(units) >= MINIMUM_UNITS:
            return None
        of_units: dict[str, list[float]] = {unit: [] for unit in units}
        for record, value in zip(self._records, precision_at_half(self._whole), strict=True):
            if not np.isnan(value):
                of_units[record.unit].append(float(value))
        return {unit: sum(values) / len(values) if values else None for unit, values in of_units.items()}

    def _class_row(self, class_: int, quick: bool) -> dict[str, Any]:
        sums = np.stack(self._sums)[:, :, class_]
        found, objects, predicted = (int(number) for number in sums.sum(axis=0)[:3])
        return {
            "name": self.classes.names[class_],
            "id": self.classes.ids[class_],
            "color": list(self.classes.colors[class_]),
            "foreground": True,
            **_estimates(sums, self._records, quick),
            "objects": objects,
            "found": found,
            "invented": predicted - found,
        }


def _plain(found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_json() for name, estimate in found.items()}


def _estimates(sums: NDArray[np.float64], records: list[Record], quick: bool) -> dict[str, dict[str, Any]]:
    """AP@0.5 and count error as means over images, panoptic quality with its factors, from sums (N, 4)."""
    of_images = np.stack([precision_at_half(sums), count_error(sums)], axis=1)
    known = ~np.isnan(of_images)
    units, unit_sums = sum_by_unit(np.concatenate([sums, np.nan_to_num(of_images), known], axis=1), records)

    def statistic(totals: NDArray[Any]) -> FloatArray:
        means = ratio(totals[..., 4:6], totals[..., 6:8])
        quality = np.stack(panoptic_quality(totals[..., :4]), axis=-1)
        return np.concatenate([means, quality], axis=-1)

    names = ("ap50", "count_error", "panoptic_quality", "segmentation_quality", "recognition_quality")
    values = estimates(unit_sums, statistic, [len(units)] * len(names), quick)
    return {name: value.to_json() for name, value in zip(names, values, strict=True)}
