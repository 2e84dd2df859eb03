"""Scores of segmentation at two levels: one confusion matrix of all pixels, and image by image."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.errors import DataError
from segkit.evaluation.boundary import BoundaryTally
from segkit.evaluation.estimates import Estimate, estimates, number, sum_by_unit, unit_name
from segkit.evaluation.examples import draw
from segkit.metrics import MINIMUM_UNITS, confusion_matrix
from segkit.metrics.region import FloatArray, accuracy, class_dice, class_iou, mean_of_counted, region_sums
from segkit.structures import ClassMap, Record, Sample

EMPTY_MASKS = (
    "dataset level: classes that neither reference nor prediction holds are in no mean; "
    "image level: both empty is not counted, only the reference empty is 0"
)


class SegmentationTally:
    """Adds up images one at a time; holds a few numbers per image and class, and one confusion matrix.

    Args:
        classes: what the masks mean.
        tolerance: of the normalized surface distance; None leaves the outlines alone, which saves their time.
    """

    task: Literal["segment"] = "segment"

    def __init__(self, classes: ClassMap, tolerance: float | None = None) -> None:
        self.classes = classes
        self.confusion = np.zeros((classes.num_classes, classes.num_classes), np.int64)
        self._records: list[Record] = []
        self._sums: list[NDArray[np.int64]] = []
        self._boundaries = None if tolerance is None else BoundaryTally(classes, tolerance)

    def add(self, sample: Sample, prediction: NDArray[np.int16]) -> float:
        """Count one image, its prediction (H, W) class indices; returns its mean foreground Dice.

        Raises `DataError` when the sample has no mask, or one of another size.
        """
        confusion = confusion_matrix(_reference(sample, prediction), prediction, self.classes.num_classes)
        self.confusion += confusion
        self._records.append(sample.record)
        self._sums.append(region_sums(confusion))
        if self._boundaries is not None:
            self._boundaries.add(sample, prediction, self._sums[-1])
        return float(mean_of_counted(class_dice(self._sums[-1])[list(self.classes.foreground)]))

    def picture(self, sample: Sample, prediction: NDArray[np.int16]) -> tuple[NDArray[np.uint8], str]:
        """Image, reference, prediction and errors beside each other, without a caption: the title names the image."""
        reference = _reference(sample, prediction)
        return draw(sample.image, reference, prediction, self.classes, sample.record.id), ""

    def rows(self) -> list[dict[str, Any]]:
        """One row per image: id, unit, counted pixels, mean foreground Dice, Dice per class, distances of the outlines.

        None where not counted.
        """
        sums = np.stack(self._sums)
        dice = class_dice(sums)
        means = mean_of_counted(dice[:, list(self.classes.foreground)])
        pixels = sums[:, 1].sum(axis=1)
        rows: list[dict[str, Any]] = [
            {"image": record.id, "unit": record.unit, "pixels": int(pixels[i]), "dice": number(means[i])}
            | {f"dice {name}": number(value) for name, value in zip(self.classes.names, dice[i], strict=True)}
            for i, record in enumerate(self._records)
        ]
        boundaries = [{} for _ in rows] if self._boundaries is None else self._boundaries.rows()
        return [row | further for row, further in zip(rows, boundaries, strict=True)]

    def scores(self, quick: bool) -> dict[str, Any]:
        """All scores, JSON-ready; `quick` leaves out the intervals."""
        sums = np.stack(self._sums)
        units, unit_sums = sum_by_unit(sums, self._records)
        per_class, whole = self._dataset_level(unit_sums, quick)
        image_level, image_whole = self._image_level(sums, quick)
        boundary, of_classes = (None, {}) if self._boundaries is None else self._boundaries.scores(self._records)
        score = whole["mean_foreground_dice"]
        return {
            "task": "segment",
            "metric": "mean foreground Dice",
            **_score(score),
            "images": len(self._records),
            "unit": unit_name(self._records),
            "units": len(units),
            "unit_scores": self._unit_scores(units, unit_sums),
            "empty_masks": EMPTY_MASKS,
            "dataset": {name: estimate.to_json() for name, estimate in whole.items()},
            "image": {"mean_foreground_dice": image_whole.to_json()},
            "boundary": boundary,
            "without_union": [self.classes.names[i] for i in np.flatnonzero(np.isnan(class_iou(unit_sums.sum(0))))],
            "classes": [
                self._class_row(i, sums, per_class[i] | {"image_dice": image_level[i]})
                | {"boundary": of_classes.get(i)}
                for i in self._indices
            ],
        }

    @property
    def _indices(self) -> range:
        return range(self.classes.num_classes)

    def _dataset_level(
        self, unit_sums: NDArray[np.int64], quick: bool
    ) -> tuple[list[dict[str, Estimate]], dict[str, Estimate]]:
        foreground = list(self.classes.foreground)

        def statistic(sums: NDArray[Any]) -> FloatArray:
            dice, iou = class_dice(sums), class_iou(sums)
            means = [mean_of_counted(dice[..., foreground]), mean_of_counted(iou), accuracy(sums)]
            return np.concatenate([np.stack(means, axis=-1), dice, iou], axis=-1)

        counted = _units_with_union(unit_sums)
        found = estimates(unit_sums, statistic, [len(unit_sums)] * 3 + counted * 2, quick)
        dice, iou = found[3 : 3 + len(counted)], found[3 + len(counted) :]
        per_class = [{"dice": d, "iou": i} for d, i in zip(dice, iou, strict=True)]
        return per_class, dict(zip(("mean_foreground_dice", "mean_iou", "pixel_accuracy"), found[:3], strict=True))

    def _image_level(self, sums: NDArray[np.int64], quick: bool) -> tuple[list[Estimate], Estimate]:
        """Mean Dice over the counted images per class, and its mean over the foreground classes."""
        foreground = list(self.classes.foreground)
        dice = class_dice(sums)
        counted = ~np.isnan(dice)
        _, unit_sums = sum_by_unit(np.stack([np.where(counted, dice, 0), counted], axis=1), self._records)

        def statistic(totals: NDArray[Any]) -> FloatArray:
            with np.errstate(invalid="ignore"):
                means = totals[..., 0, :] / totals[..., 1, :]
            return np.concatenate([means, mean_of_counted(means[..., foreground])[..., None]], axis=-1)

        counted_units = [*(int(n) for n in (unit_sums[:, 1] > 0).sum(axis=0)), len(unit_sums)]
        *per_class, whole = estimates(unit_sums, statistic, counted_units, quick)
        return per_class, whole

    def _unit_scores(self, units: list[str], unit_sums: NDArray[np.int64]) -> dict[str, float | None] | None:
        """The score of every unit where there are too few for an interval."""
        if len(units) >= MINIMUM_UNITS:
            return None
        means = mean_of_counted(class_dice(unit_sums)[:, list(self.classes.foreground)])
        return {unit: number(value) for unit, value in zip(units, means, strict=True)}

    def _class_row(self, index: int, sums: NDArray[np.int64], scores: dict[str, Estimate]) -> dict[str, Any]:
        _, reference, predicted = sums[:, :, index].T
        empty = int(((reference + predicted) == 0).sum())
        return {
            "name": self.classes.names[index],
            "id": self.classes.ids[index],
            "color": list(self.classes.colors[index]),
            "foreground": index in self.classes.foreground,
            **{name: estimate.to_json() for name, estimate in scores.items()},
            "images_counted": len(sums) - empty,
            "images_both_empty": empty,
            "reference_pixels": int(reference.sum()),
            "predicted_pixels": int(predicted.sum()),
        }


def _reference(sample: Sample, prediction: NDArray[np.int16]) -> NDArray[np.int16]:
    """The sample's mask, which the prediction can be compared with."""
    if sample.mask is None:
        raise DataError(f"{sample.record.id} has no mask; evaluation needs one per image")
    if prediction.shape != sample.mask.shape:
        raise DataError(
            f"{sample.record.id}: the predicted mask is {prediction.shape[1]} x {prediction.shape[0]} pixels, the "
            f"reference {sample.mask.shape[1]} x {sample.mask.shape[0]}; predict the image at its own size"
        )
    return sample.mask


def _score(estimate: Estimate) -> dict[str, Any]:
    plain = estimate.to_json()
    return {"score": plain["value"], "interval": plain["interval"]}


def _units_with_union(unit_sums: NDArray[np.int64]) -> list[int]:
    return [int(count) for count in (unit_sums[:, 1:].sum(axis=1) > 0).sum(axis=0)]
