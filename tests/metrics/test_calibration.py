"""Reliability and temperature: by hand, beside torchmetrics and PyTorch, and where the temperature is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from segkit.metrics.calibration import BINS, fit_temperature, likelihood, reliability
from segkit.ops.scores import softened, softmax


def test_expected_calibration_error_by_hand() -> None:
    """Two cases of 0.9 of which one is right, and two of 0.62 that are: (2 * 0.4 + 2 * 0.38) / 4."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.38, 0.62], [0.62, 0.38]], np.float32)
    found = reliability(probabilities, np.array([0, 1, 1, 0]))
    assert found.counts.sum() == 4
    assert found.counts[[9, 13]].tolist() == [2, 2]  # 9/15 < 0.62 <= 10/15, 13/15 < 0.9 <= 14/15
    assert found.accuracies[[9, 13]].tolist() == [1, 0.5]
    assert found.error == pytest.approx(0.39)
    plain = found.to_json()
    assert plain["accuracies"][0] is None
    assert plain["confidences"][13] == pytest.approx(0.9)


@pytest.mark.parametrize("classes", [2, 7])
def test_it_is_that_of_torchmetrics(classes: int) -> None:
    random = np.random.default_rng(classes)
    probabilities = softmax((random.normal(size=(5000, classes)) * 2).astype(np.float32), axis=1)
    labels = random.integers(0, classes, 5000)
    theirs = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels), classes, n_bins=BINS, norm="l1"
    )
    assert reliability(probabilities, labels).error == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.4, 3.0])
def test_likelihood_is_pytorchs_cross_entropy(temperature: float) -> None:
    random = np.random.default_rng(0)
    logits, labels = (random.normal(size=(200, 5)) * 4).astype(np.float32), random.integers(0, 5, 200)
    theirs = torch.nn.functional.cross_entropy(torch.from_numpy(logits) / temperature, torch.from_numpy(labels))
    assert likelihood(logits, labels, temperature) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_by_which_logits_are_off_is_found(temperature: float) -> None:
    random = np.random.default_rng(1)
    honest = (random.normal(size=(40_000, 4)) * 2).astype(np.float32)
    drawn = (softmax(honest, axis=1).cumsum(axis=1) < random.random((40_000, 1))).sum(axis=1).clip(max=3)
    logits = honest * np.float32(temperature)
    found = fit_temperature(logits, drawn)
    assert found == pytest.approx(temperature, rel=0.03)
    least = likelihood(logits, drawn, found)
    assert all(least <= likelihood(logits, drawn, found * factor) for factor in (0.98, 1.02))
    if temperature != 1:
        before, after = (reliability(softened(logits, t, 1), drawn).error for t in (1.0, found))
        assert after < 0.01 < before
