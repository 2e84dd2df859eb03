from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_jaccard_index,
)

from segkit.metrics import RegionScores, confusion_matrix
from segkit.metrics.region import accuracy, class_dice, class_iou, mean_of_counted, region_sums
from segkit.structures import IGNORE_INDEX

REFERENCE = np.array([[0, 0, 1], [1, 1, IGNORE_INDEX]], np.int16)
PREDICTION = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)


def test_confusion_matrix_by_hand() -> None:
    assert confusion_matrix(REFERENCE, PREDICTION, 3).tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]


def test_scores_by_hand() -> None:
    confusion = confusion_matrix(REFERENCE, PREDICTION, 3)
    scores = RegionScores.from_confusion(confusion)
    assert scores.iou == pytest.approx([1 / 3, 2 / 4, np.nan], nan_ok=True)
    assert scores.dice == pytest.approx([2 / 4, 4 / 6, np.nan], nan_ok=True)
    assert scores.mean_iou == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert accuracy(region_sums(confusion)) == pytest.approx(3 / 5)


def test_predicted_but_absent_class_counts_as_zero() -> None:
    scores = RegionScores.from_confusion(np.array([[3, 1], [0, 0]]))
    assert scores.dice[1] == 0
    assert scores.mean_iou == pytest.approx((3 / 4 + 0) / 2)


@pytest.mark.parametrize(
    ("reference", "prediction", "dice"),
    [([0, 0], [0, 0], np.nan), ([0, 0], [0, 1], 0.0), ([0, 1], [0, 0], 0.0), ([1, 1], [0, 1], 2 / 3)],
    ids=["both empty: not counted", "reference empty: 0", "prediction empty: 0", "overlap"],
)
def test_rule_for_empty_masks_of_one_image(reference: list[int], prediction: list[int], dice: float) -> None:
    confusion = confusion_matrix(np.array(reference), np.array(prediction), 2)
    assert class_dice(region_sums(confusion))[1] == pytest.approx(dice, nan_ok=True)


def test_equals_torchmetrics_with_ignored_pixels() -> None:
    generator = np.random.default_rng(0)
    reference = generator.integers(IGNORE_INDEX, 7, (3, 61, 47)).astype(np.int16)
    prediction = generator.integers(0, 7, reference.shape).astype(np.uint8)
    confusion = confusion_matrix(reference, prediction, 7)
    scores = RegionScores.from_confusion(confusion)
    tensors = torch.from_numpy(prediction.astype(np.int64)), torch.from_numpy(reference.astype(np.int64))
    expected = multiclass_confusion_matrix(*tensors, num_classes=7, ignore_index=IGNORE_INDEX)
    np.testing.assert_array_equal(confusion, expected.numpy())
    iou = multiclass_jaccard_index(*tensors, num_classes=7, average="none", ignore_index=IGNORE_INDEX)
    np.testing.assert_allclose(scores.iou, iou.numpy(), rtol=1e-6)
    dice = multiclass_f1_score(*tensors, num_classes=7, average="none", ignore_index=IGNORE_INDEX)
    np.testing.assert_allclose(scores.dice, dice.numpy(), rtol=1e-6)


def test_sums_keep_leading_dimensions() -> None:
    stack = np.random.default_rng(1).integers(0, 9, (4, 5, 3, 3))
    sums = region_sums(stack)
    assert sums.shape == (4, 5, 3, 3)
    np.testing.assert_array_equal(sums[2, 3], region_sums(stack[2, 3]))
    for score in (class_iou, class_dice, accuracy):
        np.testing.assert_array_equal(score(sums)[2, 3], score(sums[2, 3]))


def test_only_ignored_pixels_give_no_score() -> None:
    ignored = np.full((4, 4), IGNORE_INDEX, np.int16)
    confusion = confusion_matrix(ignored, np.zeros((4, 4), np.uint8), 2)
    assert np.isnan(RegionScores.from_confusion(confusion).mean_iou)
    assert np.isnan(accuracy(region_sums(confusion)))


def test_mean_of_counted_skips_nan() -> None:
    assert mean_of_counted(np.array([[1.0, np.nan, 3.0], [np.nan] * 3])) == pytest.approx([2.0, np.nan], nan_ok=True)


def test_refuses_what_would_be_counted_wrongly() -> None:
    with pytest.raises(ValueError, match=r"reference \(2, 3\) and prediction \(3, 2\) differ"):
        confusion_matrix(REFERENCE, PREDICTION.T, 3)
    with pytest.raises(ValueError, match=r"prediction holds indices 0\.\.1, allowed are 0\.\.0"):
        confusion_matrix(np.zeros_like(REFERENCE), PREDICTION, 1)
    with pytest.raises(ValueError, match=r"reference holds indices -2\.\.1"):
        confusion_matrix(REFERENCE * 2 - (REFERENCE > 0), PREDICTION, 3)
