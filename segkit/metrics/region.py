"""Overlap of regions: confusion matrix, intersection over union, Dice.

Everything follows from three sums per class, counted over the pixels whose reference is not ignored: the intersection,
the reference pixels and the predicted pixels. One image's sums give image-level scores, a data set's sums the
dataset-level ones, and resampled sums their intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.structures import IGNORE_INDEX

FloatArray = NDArray[np.float64]


def confusion_matrix(
    reference: NDArray[np.integer[Any]], prediction: NDArray[np.integer[Any]], num_classes: int
) -> NDArray[np.int64]:
    """Count pairs of reference and predicted class.

    Args:
        reference: class indices of any shape; pixels of `IGNORE_INDEX` are not counted.
        prediction: class indices of the same shape.
        num_classes: K.

    Returns:
        (K, K), one row per reference class and one column per predicted class.

    Raises:
        ValueError: the shapes differ, or an index is no class.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"reference {reference.shape} and prediction {prediction.shape} differ in shape")
    _require_range("reference", reference, IGNORE_INDEX, num_classes - 1)
    _require_range("prediction", prediction, 0, num_classes - 1)
    # The ignored index becomes an extra first row, dropped afterwards: faster than selecting pixels.
    codes = reference.astype(np.int64)
    codes -= IGNORE_INDEX
    codes *= num_classes
    codes += prediction
    counts = np.bincount(codes.ravel(), minlength=(num_classes + 1) * num_classes)
    return counts.reshape(num_classes + 1, num_classes)[1:].astype(np.int64, copy=False)


def region_sums(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """(..., K, K) confusion matrices to (..., 3, K): intersection, reference pixels, predicted pixels per class."""
    intersection = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([intersection, confusion.sum(-1), confusion.sum(-2)], axis=-2)


def class_iou(sums: NDArray[Any]) -> FloatArray:
    """Intersection over union (..., K) from (..., 3, K) sums; NaN where the union is empty."""
    intersection, reference, predicted = np.moveaxis(sums, -2, 0)
    return ratio(intersection, reference + predicted - intersection)


def class_dice(sums: NDArray[Any]) -> FloatArray:
    """Dice (..., K) from (..., 3, K) sums: NaN where reference and prediction are both empty, 0 where only one is.

    The same ratio is the F1 score of a classification (van Rijsbergen, Information Retrieval, 1979, chapter 7).
    """
    intersection, reference, predicted = np.moveaxis(sums, -2, 0)
    return ratio(2 * intersection, reference + predicted)


def accuracy(sums: NDArray[Any]) -> FloatArray:
    """Share (...) of counted pixels whose class is right, from (..., 3, K) sums; NaN where none is counted."""
    return ratio(sums[..., 0, :].sum(-1), sums[..., 1, :].sum(-1))


def mean_of_counted(values: NDArray[Any], axis: int = -1) -> FloatArray:
    """Mean along `axis` over the entries that are numbers; NaN where there is none."""
    counted = ~np.isnan(values)
    return ratio(np.where(counted, values, 0.0).sum(axis), counted.sum(axis))


@dataclass(frozen=True)
class RegionScores:
    """Scores of one confusion matrix.

    Attributes:
        iou: (K,) intersection over union per class, NaN where the union is empty.
        dice: (K,) Dice per class, NaN where the union is empty.
    """

    iou: FloatArray
    dice: FloatArray

    @classmethod
    def from_confusion(cls, confusion: NDArray[np.int64]) -> RegionScores:
        """Scores of a (K, K) confusion matrix."""
        sums = region_sums(confusion)
        return cls(class_iou(sums), class_dice(sums))

    @property
    def mean_iou(self) -> float:
        """Mean IoU over all classes with a non-empty union, background included; NaN when there is none."""
        return float(mean_of_counted(self.iou))


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> FloatArray:
    """The quotient, NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, np.true_divide(numerator, denominator), np.nan)


def _require_range(name: str, indices: NDArray[np.integer[Any]], low: int, high: int) -> None:
    smallest, largest = indices.min(initial=high), indices.max(initial=low)
    if smallest < low or largest > high:
        raise ValueError(f"the {name} holds indices {smallest}..{largest}, allowed are {low}..{high}")
