"""Scores of boxes: COCO's average precision at data set level, and what was found image by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.data.objects import marked_boxes
from segkit.errors import DataError
from segkit.evaluation.estimates import Estimate, number, unit_name
from segkit.inference.results import DetectionResult
from segkit.metrics.average_precision import RECALLS, average_precisions, best_threshold, precision_curve, rank
from segkit.metrics.detection import THRESHOLDS, Matches, box_overlaps, match
from segkit.metrics.intervals import Interval, weighted_intervals
from segkit.metrics.region import mean_of_counted
from segkit.ops.boxes import box_areas
from segkit.structures import IGNORE_INDEX, ClassMap, Record, Sample
from segkit.visualization.boxes import boxes_side_by_side

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
            _match(
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
        per_class, means = self._estimates(quick)
        whole = {name: estimate.to_json() for name, estimate in means.items()}
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
            counted = (matches.scores >= self.threshold) & ~matches.ignored[0, 0]
            found += int((matches.hits[0, 0] & counted).sum())
            invented += int((~matches.hits[0, 0] & counted).sum())
            objects += int(matches.objects[0])
        return found, invented, objects - found

    def _of_class(self, index: int) -> list[Matches]:
        """The matches of one class, one per image."""
        return [of_classes[index] for of_classes in self._matches]

    def _estimates(self, quick: bool) -> tuple[list[dict[str, Estimate]], dict[str, Estimate]]:
        """The measures of each class, and their means over the classes that occur."""
        rankings = [rank(self._of_class(index)) for index in range(self.classes.num_classes)]

        def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            """(R, 4 * (K + 1)) measures of every class and their means, from how often an image counts (R, N)."""
            values = np.stack([_measures(*average_precisions(ranking, weights)) for ranking in rankings], axis=1)
            return np.concatenate([values, mean_of_counted(values.swapaxes(1, 2))[:, None]], axis=1).reshape(
                len(weights), -1
            )

        values = statistic(np.ones((1, len(self._records))))[0]
        intervals = None if quick else self._intervals(statistic)
        found = [
            Estimate(float(value), None if intervals is None or np.isnan(value) else intervals[place])
            for place, value in enumerate(values)
        ]
        rows = [
            dict(zip(MEASURES, found[start : start + len(MEASURES)], strict=True))
            for start in range(0, len(found), len(MEASURES))
        ]
        return rows[:-1], rows[-1]

    def _intervals(self, statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> list[Interval] | None:
        units = {unit: place for place, unit in enumerate(dict.fromkeys(record.unit for record in self._records))}
        places = [units[record.unit] for record in self._records]
        return weighted_intervals(len(units), lambda counts: statistic(counts[:, places]))

    def _class_row(self, index: int, found: dict[str, Estimate]) -> dict[str, Any]:
        matches = self._of_class(index)
        counts = [self._counts([one]) for one in matches]
        return {
            "name": self.classes.names[index],
            "id": self.classes.ids[index],
            "color": list(self.classes.colors[index]),
            "foreground": True,
            **{name: estimate.to_json() for name, estimate in found.items()},
            "objects": sum(int(one.objects[0]) for one in matches),
            "found": sum(found for found, _, _ in counts),
            "invented": sum(invented for _, invented, _ in counts),
        }

    def _curve(self, index: int) -> dict[str, Any]:
        """Precision over recall at an overlap of one half."""
        precision = precision_curve(rank(self._of_class(index)))
        values = [] if precision is None else precision.round(4).tolist()
        return {"name": self.classes.names[index], "recall": RECALLS.round(2).tolist(), "precision": values}


def _match(references: NDArray[Any], crowd: NDArray[np.bool_], boxes: NDArray[Any], scores: NDArray[Any]) -> Matches:
    overlaps = box_overlaps(boxes, references, crowd)
    return match(overlaps, scores, box_areas(boxes), box_areas(references), crowd)


def _measures(precisions: NDArray[np.float64], recalls: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, 4) AP, AP50, AP75 and AR from precision and highest recall (R, areas, thresholds) of one class."""
    of_all, at75 = precisions[:, 0], int(np.flatnonzero(np.isclose(THRESHOLDS, 0.75))[0])
    return np.stack([of_all.mean(axis=1), of_all[:, 0], of_all[:, at75], recalls[:, 0].mean(axis=1)], axis=1)
