"""Scores of boxes: COCO's average precision at data set level, and what was found image by image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.data.objects import marked_boxes
from segkit.errors import DataError
from segkit.evaluation.estimates import Estimate, number, unit_name
from segkit.inference.results import DetectionResult
from segkit.metrics import MINIMUM_UNITS
from segkit.metrics.detection import (
    THRESHOLDS,
    Matches,
    average_precisions,
    best_threshold,
    match_boxes,
    precision_recall,
)
from segkit.metrics.intervals import Interval
from segkit.structures import IGNORE_INDEX, ClassMap, Record, Sample
from segkit.visualization.boxes import boxes_side_by_side

RESAMPLES = 300
"""Data sets drawn for an interval: fewer than for other scores, as each is sorted and summed anew."""

RULE = (
    "AP is the mean over intersections over union of 0.50 to 0.95 and over classes that occur (pycocotools); regions "
    "marked as crowd or difficult are not counted"
)
MEASURES = ("ap", "ap50", "ap75", "ar")


class DetectionTally:
    """Matches the boxes of one image at a time.

    Args:
        classes: of the objects.
        threshold: score from which boxes are counted image by image.
    """

    task: Literal["detect"] = "detect"
    confusion = None

    def __init__(self, classes: ClassMap, threshold: float) -> None:
        self.classes = classes
        self.threshold = threshold
        self._records: list[Record] = []
        self._matches: list[list[Matches]] = []

    def add(self, sample: Sample, prediction: DetectionResult) -> float:
        """Count one image; returns its F1 at the threshold, NaN without objects and boxes.

        Raises `DataError` where its boxes are not known.
        """
        if sample.boxes is None or sample.record.annotation is None:
            raise DataError(f"{sample.record.id} has no boxes; evaluating a detector needs them for every image")
        reference, crowd = marked_boxes(sample.record.annotation, self.classes, prediction.size)
        of_classes = [
            match_boxes(
                reference.corners[reference.labels == index],
                crowd[reference.labels == index],
                prediction.corners[prediction.labels == index],
                prediction.scores[prediction.labels == index],
            )
            for index in range(self.classes.num_classes)
        ]
        self._records.append(sample.record)
        self._matches.append(of_classes)
        found, invented, missed = self._counts(of_classes)
        return 2 * found / (2 * found + invented + missed) if found + invented + missed else float("nan")

    def picture(self, sample: Sample, prediction: DetectionResult) -> tuple[NDArray[np.uint8], str]:
        """Reference and prediction beside each other."""
        assert sample.boxes is not None
        counted = sample.boxes.labels != IGNORE_INDEX
        shown = prediction.above(self.threshold)
        picture = boxes_side_by_side(
            sample.image, self.classes, (sample.boxes.corners[counted], sample.boxes.labels[counted]), shown
        )
        return picture, f"{int(counted.sum())} marked, {len(shown)} found"

    def rows(self) -> list[dict[str, Any]]:
        """One row per image: id, unit, objects, and at the threshold and an overlap of one half what was found."""
        rows = []
        for record, of_classes in zip(self._records, self._matches, strict=True):
            found, invented, missed = self._counts(of_classes)
            whole = found + invented + missed
            f1 = 2 * found / (found + whole) if whole else float("nan")
            rows.append(
                {
                    "image": record.id,
                    "unit": record.unit,
                    "objects": found + missed,
                    "found": found,
                    "missed": missed,
                    "invented": invented,
                    "f1": number(f1),
                }
            )
        return rows

    def scores(self, quick: bool) -> dict[str, Any]:
        """All scores, JSON-ready; `quick` leaves out the intervals and takes AP50, less noisy in short runs."""
        per_class = self._estimates(quick)
        whole = {name: self._mean(name, per_class, quick) for name in MEASURES}
        headline = "ap50" if quick else "ap"
        units = list(dict.fromkeys(record.unit for record in self._records))
        return {
            "task": "detect",
            "metric": headline.upper(),
            "score": whole[headline]["value"],
            "interval": whole[headline]["interval"],
            "images": len(self._records),
            "unit": unit_name(self._records),
            "units": len(units),
            "unit_scores": None,  # a precision over all boxes is no mean of those of its units
            "rule": RULE,
            "threshold": self.threshold,
            "dataset": whole,
            "classes": [self._class_row(index, per_class[index]) for index in range(self.classes.num_classes)],
            "curves": [] if quick else [self._curve(index) for index in range(self.classes.num_classes)],
        }

    def best_threshold(self) -> float | None:
        """The score from which boxes have the highest F1; None where none is right."""
        return best_threshold([matches for of_classes in self._matches for matches in of_classes])

    def _counts(self, of_classes: Sequence[Matches]) -> tuple[int, int, int]:
        """Found, invented and missed at the threshold, at an overlap of one half."""
        found = invented = objects = 0
        for matches in of_classes:
            counted = (matches.scores >= self.threshold) & ~matches.ignored[0]
            found += int((matches.hits[0] & counted).sum())
            invented += int((~matches.hits[0] & counted).sum())
            objects += matches.references
        return found, invented, objects - found

    def _values(self, weights: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """(K, 4) AP, AP50, AP75 and AR of each class."""
        values = []
        for index in range(self.classes.num_classes):
            matches = [of_classes[index] for of_classes in self._matches]
            precisions = average_precisions(matches, weights)
            _, recall = precision_recall(matches, weights)
            reached = recall[:, -1].mean() if recall.shape[1] else np.where(np.isnan(precisions[0]), np.nan, 0.0)
            at75 = int(np.flatnonzero(np.isclose(THRESHOLDS, 0.75))[0])
            values.append([precisions.mean(), precisions[0], precisions[at75], reached])
        return np.array(values, np.float64)

    def _estimates(self, quick: bool) -> list[dict[str, Estimate]]:
        """The measures of each class; the resamples are kept for their means."""
        values = self._values()
        units = {unit: place for place, unit in enumerate(dict.fromkeys(record.unit for record in self._records))}
        places = np.array([units[record.unit] for record in self._records])
        self._resampled = np.empty((0, *values.shape))
        if not quick and len(units) >= MINIMUM_UNITS:
            generator = np.random.default_rng(0)
            drawn = [
                np.bincount(generator.integers(len(units), size=len(units)), minlength=len(units))[places]
                for _ in range(RESAMPLES)
            ]
            self._resampled = np.stack([self._values(weights) for weights in drawn])
        return [
            {
                name: Estimate(float(values[index, at]), _interval(self._resampled[:, index, at]))
                for at, name in enumerate(MEASURES)
            }
            for index in range(self.classes.num_classes)
        ]

    def _mean(self, name: str, per_class: Sequence[dict[str, Estimate]], quick: bool) -> dict[str, Any]:
        """A measure's mean over the classes that occur."""
        values = np.array([estimates[name].value for estimates in per_class])
        known = ~np.isnan(values)
        mean = float(values[known].mean()) if known.any() else float("nan")
        resampled = self._resampled[:, known, MEASURES.index(name)]
        interval = None if quick or not known.any() else _interval(_mean_of_known(resampled))
        return Estimate(mean, interval).to_json()

    def _class_row(self, index: int, found: dict[str, Estimate]) -> dict[str, Any]:
        matches = [of_classes[index] for of_classes in self._matches]
        counts = [self._counts([one]) for one in matches]
        return {
            "name": self.classes.names[index],
            "id": self.classes.ids[index],
            "color": list(self.classes.colors[index]),
            "foreground": True,
            **{name: estimate.to_json() for name, estimate in found.items()},
            "objects": sum(one.references for one in matches),
            "found": sum(found for found, _, _ in counts),
            "invented": sum(invented for _, invented, _ in counts),
        }

    def _curve(self, index: int) -> dict[str, Any]:
        """Precision over recall at an overlap of one half, at 101 recalls."""
        precision, recall = (
            found[0] for found in precision_recall([of_classes[index] for of_classes in self._matches])
        )
        if not precision.size or np.isnan(recall).all():
            return {"name": self.classes.names[index], "recall": [], "precision": []}
        shown = np.unique(np.linspace(0, len(recall) - 1, 101).astype(int))
        return {
            "name": self.classes.names[index],
            "recall": recall[shown].round(4).tolist(),
            "precision": precision[shown].round(4).tolist(),
        }


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) mean over the classes (R, K) that a resample holds."""
    known = ~np.isnan(values)
    return np.where(known, values, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _interval(values: NDArray[np.float64]) -> Interval | None:
    known = values[~np.isnan(values)]
    return Interval(*map(float, np.percentile(known, [2.5, 97.5]))) if len(known) else None
