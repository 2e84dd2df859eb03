"""Scores of classes: PyTorch's softmax, and the class decided on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segkit.ops.scores import class_indices, softmax


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_softmax_equals_torch(scale: float) -> None:
    logits: NDArray[np.float32] = (np.random.default_rng(4).normal(size=(5, 6, 7)) * scale).astype(np.float32)
    before = logits.copy()
    np.testing.assert_allclose(softmax(logits, axis=0), torch.from_numpy(logits).softmax(0).numpy(), atol=1e-6)
    assert np.array_equal(logits, before)


def test_the_class_of_the_largest_score_is_decided_on_and_the_lower_one_of_equals() -> None:
    scores = np.array([[[0.1, 2.0, -1.0]], [[0.7, 2.0, -3.0]], [[0.2, 1.0, -1.0]]], np.float32)
    assert class_indices(scores).tolist() == [[1, 0, 0]]
