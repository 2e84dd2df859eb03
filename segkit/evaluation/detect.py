"""Scores of boxes: COCO's average precision at data set level, and what was found image by image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.data.objects import marked_boxes
from segkit.errors import DataError
from segkit.evaluation.estimates import Estimate, number, unit_name
from segkit.evaluation.precision import PrecisionScores
from segkit.inference.results import DetectionResult
from segkit.metrics.average_precision import best_threshold
from segkit.metrics.detection import MOST_DETECTIONS, Matches, box_overlaps, match
from segkit.ops.boxes import box_areas
from segkit.structures import IGNORE_INDEX, ClassMap, Record, Sample
from segkit.visualization.boxes import boxes_side_by_side

RULE = (
    "AP is the mean over intersections over union of 0.50 to 0.95 and over classes that occur (pycocotools); regions "
    f"marked as crowd or difficult do not count, and of one class the {MOST_DETECTIONS} surest boxes of an image do"
)


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
        if sample.boxes is None or sample.record.marked is None:
            raise DataError(f"{sample.record.id} has no boxes; evaluating a detector needs them for every image")
        reference, crowd, areas = marked_boxes(sample.record.marked, self.classes, prediction.size)
        of_classes = [
            _match(reference.corners[marked], crowd[marked], areas[marked], prediction, index)
            for index, marked in enumerate(reference.labels == np.arange(self.classes.num_classes)[:, None])
        ]
        self._records.append(sample.record)
        self._matches.append(of_classes)
        return _f1(*self._counts(of_classes))

    def picture(self, sample: Sample, prediction: DetectionResult) -> tuple[NDArray[np.uint8], str]:
        """Reference and prediction beside each other."""
        assert sample.boxes is not None
        counted = sample.boxes.labels != IGNORE_INDEX
        shown = prediction.above(self.threshold)
        picture = boxes_side_by_side(
            sample.image, self.classes, (sample.boxes.corners[counted], sample.boxes.labels[counted]), shown
        )
        return picture, f"{int(counted.sum())} marked, {len(shown)} predicted"

    def rows(self) -> list[dict[str, Any]]:
        """One row per image: id, unit, objects, and at the threshold and an overlap of one half what was found."""
        rows = []
        for record, of_classes in zip(self._records, self._matches, strict=True):
            found, invented, missed = self._counts(of_classes)
            rows.append(
                {
                    "image": record.id,
                    "unit": record.unit,
                    "objects": found + missed,
                    "f1": number(_f1(found, invented, missed)),
                    "found": found,
                    "missed": missed,
                    "invented": invented,
                }
            )
        return rows

    def scores(self, quick: bool) -> dict[str, Any]:
        """All scores, JSON-ready; `quick` leaves out the intervals and takes AP50, less noisy in short runs."""
        precision = PrecisionScores(self._matches, self._records)
        per_class, means = precision.estimates(quick)
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
            "cut": self._cut,
            "dataset": whole,
            "classes": [self._class_row(index, per_class[index]) for index in range(self.classes.num_classes)],
            "curves": {} if quick else dict(zip(self.classes.names, precision.curves(self.threshold), strict=True)),
        }

    @property
    def _cut(self) -> int:
        """Number of images that hold more objects of a class than COCO lets count."""
        return sum(any(one.objects[0] > MOST_DETECTIONS for one in of_classes) for of_classes in self._matches)

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

    def _class_row(self, index: int, found: dict[str, Estimate]) -> dict[str, Any]:
        matches = [of_classes[index] for of_classes in self._matches]
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


def _f1(found: int, invented: int, missed: int) -> float:
    """NaN where there is neither an object nor a box."""
    return 2 * found / (2 * found + invented + missed) if found + invented + missed else float("nan")


def _match(
    marked: NDArray[Any], crowd: NDArray[np.bool_], areas: NDArray[Any], prediction: DetectionResult, class_: int
) -> Matches:
    """Match the predicted boxes of a class with the marked ones (G, 4), which have areas (G,)."""
    boxes = prediction.corners[prediction.labels == class_]
    overlaps = box_overlaps(boxes, marked, crowd)
    return match(overlaps, prediction.scores[prediction.labels == class_], box_areas(boxes), areas, crowd)
