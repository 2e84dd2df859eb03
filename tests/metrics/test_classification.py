from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from segkit.metrics import confusion_matrix, top_k_correct
from segkit.metrics.classification import precision, recall
from segkit.metrics.region import accuracy, class_dice, region_sums


def test_equals_torchmetrics() -> None:
    """Top-1 accuracy and F1 are the accuracy and the Dice of regions, with images in the place of pixels."""
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(8), 300)
    labels = generator.integers(0, 8, 300)
    tensors = torch.from_numpy(probabilities), torch.from_numpy(labels)
    sums = region_sums(confusion_matrix(labels, probabilities.argmax(axis=1), 8))
    top_1 = float(multiclass_accuracy(*tensors, 8, average="micro"))
    assert float(accuracy(sums)) == pytest.approx(top_1)
    assert top_k_correct(probabilities, labels, 1).mean() == pytest.approx(top_1)
    np.testing.assert_allclose(class_dice(sums), multiclass_f1_score(*tensors, 8, average="none").numpy(), rtol=1e-6)
    top_5 = float(multiclass_accuracy(*tensors, 8, average="micro", top_k=5))
    assert top_k_correct(probabilities, labels, 5).mean() == pytest.approx(top_5)


def test_precision_and_recall_are_scikit_learns() -> None:
    """precision_score and recall_score with average=None are tp / (tp + fp) and tp / (tp + fn), counted by hand."""
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3]
    predicted = [0, 1, 0, 1, 2, 2, 2, 0, 2, 0]
    sums = region_sums(confusion_matrix(np.array(labels), np.array(predicted), 5))
    # class 0: 2 right, predicted 4 times, 3 images; class 3 is never predicted, class 4 occurs nowhere
    np.testing.assert_allclose(precision(sums), [2 / 4, 1 / 2, 3 / 4, np.nan, np.nan])
    np.testing.assert_allclose(recall(sums), [2 / 3, 1 / 2, 3 / 4, 0, np.nan])
    # f1_score: 2 tp / (2 tp + fp + fn), the harmonic mean of both where both are defined
    np.testing.assert_allclose(class_dice(sums), [4 / 7, 1 / 2, 3 / 4, 0, np.nan])
    p, r = precision(sums)[:3], recall(sums)[:3]
    np.testing.assert_allclose(class_dice(sums)[:3], 2 * p * r / (p + r))


def test_top_k_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]])
    labels = np.array([0, 1, 1, 0])
    assert top_k_correct(probabilities, labels, 1).tolist() == [True, False, True, False]
    assert top_k_correct(probabilities, labels, 2).tolist() == [True, True, True, False]


def test_among_equals_the_lower_index_comes_first() -> None:
    assert top_k_correct(np.full((4, 4), 0.25), np.arange(4), 2).tolist() == [True, True, False, False]
