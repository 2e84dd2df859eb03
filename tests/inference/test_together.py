"""Several models and several views on one command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit.data.image_io import read_mask, write_image
from segkit.errors import ModelFileError
from segkit.inference.ensemble import EnsemblePredictor
from segkit.inference.loading import load
from segkit.inference.together import load_together, split_models
from segkit.inference.views import with_views
from segkit.modelfile import save_ensemble
from tests.cli.conftest import Ends, segkit
from tests.inference.networks import photo
from tests.inference.test_ensemble import save

__all__ = ["segkit"]


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [save(tmp_path / f"run-{seed}" / "model.safetensors", seed) for seed in range(2)]


def test_models_named_together_are_what_a_list_of_them_is(models: list[Path], tmp_path: Path) -> None:
    save_ensemble(tmp_path / "ensemble.json", models)
    image = photo(33, 40)
    listed, named = load(tmp_path / "ensemble.json", device="cpu"), load_together(models, device="cpu")
    expected = listed.segment(image, probabilities=True).probabilities
    np.testing.assert_array_equal(named.segment(image, probabilities=True).probabilities, expected)
    assert not isinstance(load_together(models[:1], device="cpu"), EnsemblePredictor)
    # Every member of either looks in all views.
    views = [with_views(load(model, device="cpu"), "flips").segment(image, probabilities=True) for model in models]
    mean = np.mean([each.probabilities for each in views if each.probabilities is not None], axis=0)
    for predictor in (load_together(models, tta="flips"), load_together([tmp_path / "ensemble.json"], tta="flips")):
        found = predictor.segment(image, probabilities=True).probabilities
        assert found is not None
        np.testing.assert_allclose(found, mean, atol=1e-6)


def test_models_that_do_not_fit_are_refused(models: list[Path], tmp_path: Path) -> None:
    other = save(tmp_path / "other.safetensors", 2, classes=4)
    with pytest.raises(ModelFileError, match="the models that the command lists differ in classes"):
        load_together([models[0], other])


def test_models_come_before_the_inputs(models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    run, images = str(models[1].parent), str(tmp_path / "images")
    assert split_models("name", [images, "a.png"]) == (["name"], [images, "a.png"])
    assert split_models("name", [run, "b.safetensors", images, run]) == (["name", run, "b.safetensors"], [images, run])
    assert split_models("name", ["other.onnx", "a.png"]) == (["name", "other.onnx"], ["a.png"])


def test_predict_takes_them(models: list[Path], tmp_path: Path, segkit: Ends) -> None:
    write_image(tmp_path / "a.png", photo(20, 30))
    given = (*models, tmp_path / "a.png", "-o", tmp_path / "out", "--tta", "d4", "--device", "cpu", "-q")
    assert segkit("predict", *given) == 0
    expected = load_together(models, device="cpu", tta="d4").segment(tmp_path / "a.png").mask
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "masks" / "a.png"), expected)


def test_predict_without_inputs_says_so(
    models: list[Path], tmp_path: Path, segkit: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segkit("predict", *models, "-o", tmp_path / "out") == 2
    assert "only models are named; name images" in capsys.readouterr().err
