from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from segkit.metrics import ClassificationScores, top_k_correct


def test_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]])
    scores = ClassificationScores.from_probabilities(probabilities, np.array([0, 1, 1, 1]))
    assert scores.confusion.tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert scores.top_1 == 0.5
    assert scores.top_5 is None
    assert scores.f1 == pytest.approx([2 / 3, 1 / 2, 0])
    assert scores.mean_f1 == pytest.approx((2 / 3 + 1 / 2) / 3)


def test_equals_torchmetrics() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(8), 300)
    labels = generator.integers(0, 8, 300)
    scores = ClassificationScores.from_probabilities(probabilities, labels)
    tensors = torch.from_numpy(probabilities), torch.from_numpy(labels)
    assert scores.top_1 == pytest.approx(float(multiclass_accuracy(*tensors, 8, average="micro")))
    assert scores.top_5 == pytest.approx(float(multiclass_accuracy(*tensors, 8, average="micro", top_k=5)))
    np.testing.assert_allclose(scores.f1, multiclass_f1_score(*tensors, 8, average="none").numpy(), rtol=1e-6)


def test_class_neither_present_nor_predicted_is_in_no_mean() -> None:
    scores = ClassificationScores.from_probabilities(np.array([[0.9, 0.1, 0.0]]), np.array([0]))
    assert np.isnan(scores.f1[1:]).all()
    assert scores.mean_f1 == 1.0


def test_among_equals_the_lower_index_comes_first() -> None:
    assert top_k_correct(np.full((4, 4), 0.25), np.arange(4), 2).tolist() == [True, True, False, False]
