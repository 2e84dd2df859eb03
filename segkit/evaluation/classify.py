"""Scores of image classification: top-1 and top-5 accuracy; precision, recall and F1 per class."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.errors import DataError
from segkit.evaluation.estimates import Estimate, estimates, number, sum_by_unit, unit_name
from segkit.inference.results import ClassificationResult
from segkit.metrics import MINIMUM_UNITS, confusion_matrix, top_k_correct
from segkit.metrics.classification import precision, recall
from segkit.metrics.region import FloatArray, accuracy, class_dice, mean_of_counted
from segkit.structures import ClassMap, Record, Sample
from segkit.visualization import thumbnail


class ClassificationTally:
    """Collects the class probabilities of every image."""

    task: Literal["classify"] = "classify"

    def __init__(self, classes: ClassMap) -> None:
        self.classes = classes
        self._records: list[Record] = []
        self._labels: list[int] = []
        self._probabilities: list[NDArray[np.float32]] = []

    def add(self, sample: Sample, prediction: ClassificationResult) -> float:
        """Count one image; returns the probability given to its true class. Raises `DataError` without a label."""
        if sample.label is None:
            raise DataError(f"{sample.record.id} has no label; evaluating a classifier needs one per image")
        self._records.append(sample.record)
        self._labels.append(sample.label)
        self._probabilities.append(prediction.probabilities)
        return float(prediction.probabilities[sample.label])

    def picture(self, sample: Sample, prediction: ClassificationResult) -> tuple[NDArray[np.uint8], str]:
        """The image in small, with its class and the predicted one."""
        return thumbnail(sample.image), f"{sample.record.label}, predicted {prediction.label}"

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K) images, one row per reference class."""
        return confusion_matrix(np.array(self._labels), self._predicted, self.classes.num_classes)

    def rows(self) -> list[dict[str, Any]]:
        """One row per image: id, unit, class, predicted class, their probabilities, whether it is right."""
        names = self.classes.names
        rows = []
        for record, label, probabilities in zip(self._records, self._labels, self._probabilities, strict=True):
            best = int(probabilities.argmax())
            rows.append(
                {
                    "image": record.id,
                    "unit": record.unit,
                    "class": names[label],
                    "predicted": names[best],
                    "probability": float(probabilities[best]),
                    "probability_of_class": float(probabilities[label]),
                    "correct": int(best == label),
                }
            )
        return rows

    def scores(self, quick: bool) -> dict[str, Any]:
        """All scores, JSON-ready; `quick` leaves out the intervals."""
        units, unit_sums = sum_by_unit(self._sums(), self._records)
        top_1, mean_f1, *of_classes = self._estimates(unit_sums, quick)
        return {
            "task": "classify",
            "metric": "top-1 accuracy",
            "score": number(top_1.value),
            "interval": top_1.to_json()["interval"],
            "images": len(self._records),
            "unit": unit_name(self._records),
            "units": len(units),
            "unit_scores": self._unit_scores(units, unit_sums),
            "dataset": {
                "top_1": top_1.to_json(),
                "top_5": self._top_5(quick).to_json() if self.classes.num_classes > 5 else None,
                "mean_f1": mean_f1.to_json(),
            },
            "classes": self._class_rows(of_classes, unit_sums),
        }

    @property
    def _predicted(self) -> NDArray[np.intp]:
        predicted: NDArray[np.intp] = np.stack(self._probabilities).argmax(axis=1)
        return predicted

    def _sums(self) -> NDArray[np.int64]:
        """(N, 3, K) hits, images of the class and images predicted as it, as `region_sums` counts pixels."""
        classes = np.arange(self.classes.num_classes)
        of_class, as_class = np.array(self._labels)[:, None] == classes, self._predicted[:, None] == classes
        return np.stack([of_class & as_class, of_class, as_class], axis=1).astype(np.int64)

    def _estimates(self, unit_sums: NDArray[np.int64], quick: bool) -> list[Estimate]:
        def statistic(sums: NDArray[Any]) -> FloatArray:
            f1 = class_dice(sums)
            means = np.stack([accuracy(sums), mean_of_counted(f1)], axis=-1)
            return np.concatenate([means, f1, precision(sums), recall(sums)], axis=-1)

        _, of_class, as_class = (unit_sums > 0).sum(axis=0)
        either = (unit_sums[:, 1:].sum(axis=1) > 0).sum(axis=0)
        counted = [int(count) for count in np.concatenate([either, as_class, of_class])]
        return estimates(unit_sums, statistic, [len(unit_sums)] * 2 + counted, quick)

    def _top_5(self, quick: bool) -> Estimate:
        correct = top_k_correct(np.stack(self._probabilities), np.array(self._labels), 5)
        _, unit_sums = sum_by_unit(np.stack([correct, np.ones_like(correct)], axis=1).astype(np.int64), self._records)
        return estimates(unit_sums, lambda sums: sums[..., :1] / sums[..., 1:], [len(unit_sums)], quick)[0]

    def _unit_scores(self, units: list[str], unit_sums: NDArray[np.int64]) -> dict[str, float | None] | None:
        """The accuracy of every unit where there are too few for an interval."""
        if len(units) >= MINIMUM_UNITS:
            return None
        return {unit: number(value) for unit, value in zip(units, accuracy(unit_sums), strict=True)}

    def _class_rows(self, found: list[Estimate], unit_sums: NDArray[np.int64]) -> list[dict[str, Any]]:
        """One entry per class from the F1 of all classes, then their precisions, then their recalls."""
        num_classes = self.classes.num_classes
        f1, precisions, recalls = (found[start : start + num_classes] for start in range(0, len(found), num_classes))
        return [
            {
                "name": self.classes.names[index],
                "id": self.classes.ids[index],
                "color": list(self.classes.colors[index]),
                "f1": f1[index].to_json(),
                "precision": precisions[index].to_json(),
                "recall": recalls[index].to_json(),
                "images": int(of_class),
                "predicted": int(as_class),
                "correct": int(hits),
            }
            for index, (hits, of_class, as_class) in enumerate(unit_sums.sum(axis=0).T)
        ]
