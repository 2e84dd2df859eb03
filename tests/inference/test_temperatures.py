"""A temperature changes probabilities as on paper, wherever they are shown, and no decision anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segkit.inference.engines.torch import TorchEngine
from segkit.inference.ensemble import EnsemblePredictor
from segkit.inference.predictor import Predictor
from segkit.inference.views import with_views
from segkit.pipeline import Pipeline
from tests.inference.networks import LocalNetwork, MeanColor, class_map, local_predictor, photo, plain_pipeline

TEMPERATURES = {"segment": 2.5, "classify": 0.5}
IN_TILES = {"whole_limit": 1000, "tile": 32}


def powered(probabilities: Any, temperature: float) -> Any:
    """By its other definition: powers of the probabilities, divided by their sum."""
    powers = probabilities.astype(np.float64) ** (1 / temperature)
    return powers / powers.sum(axis=0)


@pytest.mark.parametrize("settings", [{}, IN_TILES], ids=["whole", "in tiles"])
@pytest.mark.parametrize("views", [None, "flips"])
def test_masks_stay_and_probabilities_change(settings: dict[str, Any], views: Any) -> None:
    cold, warm = local_predictor(**settings), local_predictor(temperatures=TEMPERATURES, **settings)
    if views:
        cold, warm = with_views(cold, views), with_views(warm, views)
    before, after = (predictor.segment(photo(61, 50), probabilities=True) for predictor in (cold, warm))
    np.testing.assert_array_equal(after.mask, before.mask)
    assert before.probabilities is not None
    assert after.probabilities is not None
    np.testing.assert_allclose(after.probabilities, powered(before.probabilities, 2.5), atol=1e-6)
    assert np.abs(after.probabilities - before.probabilities).max() > 0.02


@pytest.mark.parametrize("settings", [{}, IN_TILES], ids=["whole", "in tiles"])
def test_labels_stay_too(settings: dict[str, Any]) -> None:
    for seed in range(5):
        before, after = (
            Predictor(TorchEngine(MeanColor()), pipeline, {"classify": class_map(3)}).classify(photo(61, 50, seed=seed))
            for pipeline in (plain_pipeline(**settings), plain_pipeline(temperatures=TEMPERATURES, **settings))
        )
        assert before.label == after.label
        np.testing.assert_allclose(after.probabilities, powered(before.probabilities, 0.5), atol=1e-6)


def test_logits_that_only_just_differ_are_decided_on_as_they_are() -> None:
    network = LocalNetwork()
    with torch.no_grad():
        last = network.layers[-1]
        assert isinstance(last, torch.nn.Conv2d)
        assert last.bias is not None
        last.weight.zero_()
        last.bias.copy_(torch.tensor([1.0, 1.0 + 2**-23, 0, 0]))  # equal once divided by 3 and rounded
    pipeline = plain_pipeline(temperatures={"segment": 3.0})
    found = Predictor(TorchEngine(network), pipeline, {"segment": class_map(4)}).segment(photo(8, 8))
    assert (found.mask == 1).all()


def test_several_networks_have_no_temperature_of_their_members() -> None:
    warm = local_predictor(temperatures=TEMPERATURES)
    several = EnsemblePredictor.of([warm, warm], Path("ensemble.json")).segment(photo(20, 30), probabilities=True)
    alone = local_predictor().segment(photo(20, 30), probabilities=True)
    assert several.probabilities is not None
    assert alone.probabilities is not None
    np.testing.assert_allclose(several.probabilities, alone.probabilities, atol=1e-6)


def test_model_files_without_temperatures_have_none() -> None:
    plain = plain_pipeline(1).model_dump(mode="json")
    del plain["temperatures"]
    assert Pipeline.parse(plain).temperatures == {}
