"""Calibrating a model file: on which images, what is written, and that no decision changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import segkit
from segkit.data.opening import open_dataset
from segkit.errors import DataError, UsageError
from segkit.evaluation.probabilities import collect_cases
from segkit.experiment.calibrate import calibrate
from segkit.inference.loading import load
from segkit.metrics.calibration import reliability
from segkit.modelfile import load_model_file, read_card, save_ensemble, save_model_file
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model
from segkit.ops.scores import softmax
from segkit.structures import IGNORE_INDEX, ClassMap, TaskName
from tests.cli.conftest import Ends
from tests.cli.conftest import segkit as command
from tests.experiment.conftest import write_discs
from tests.experiment.test_evaluate import card_knowing

__all__ = ["command"]


@pytest.fixture
def model(discs: Path, tmp_path: Path) -> Path:
    """A network of random weights, whose logits are too large, and which knows the discs' own parts."""
    dataset = open_dataset(discs)
    card = card_knowing(dataset, train=range(8), val=range(8, 11), test=range(11, 14))
    torch.manual_seed(0)
    network = build_model(ModelConfig.parse(card.model))
    for parameter in network.heads.parameters():
        parameter.data *= 10
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    save_model_file(tmp_path / "m.safetensors", state, card)
    return tmp_path / "m.safetensors"


def test_probabilities_become_those_of_the_temperature_and_masks_stay(
    model: Path, discs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = discs / "images" / "disc_12.png"
    before = load(model, device="cpu").segment(image, probabilities=True)
    _, weights = load_model_file(model)
    found = calibrate(model, discs, output=tmp_path / "reliability.png", device="cpu")["segment"]
    said = capsys.readouterr().out
    assert "calibrating on 3 images (the model's own val part) of" in said
    assert f"segment: temperature {found.temperature:.3f}; expected calibration error" in said
    assert "5,760 pixels of 3 images" in said
    assert found.temperature > 1.5
    assert found.after.error < found.before.error
    assert found.likelihoods[1] < found.likelihoods[0]
    after = load(model, device="cpu").segment(image, probabilities=True)
    np.testing.assert_array_equal(after.mask, before.mask)
    assert before.probabilities is not None
    assert after.probabilities is not None
    expected = softmax(np.log(before.probabilities.clip(1e-38)) / np.float32(round(found.temperature, 6)), axis=0)
    np.testing.assert_allclose(after.probabilities, expected, atol=1e-5)
    card, kept = load_model_file(model)
    assert all(np.array_equal(weights[name], kept[name]) for name in weights)
    assert card.pipeline["temperatures"] == {"segment": round(found.temperature, 6)}
    assert card.scores["calibration"]["segment"] == found.to_json()
    with Image.open(tmp_path / "reliability.png") as picture:
        assert picture.size[0] > picture.size[1]


def test_the_errors_are_those_of_the_validation_images(model: Path, discs: Path) -> None:
    found = calibrate(model, discs, device="cpu", quiet=True)["segment"]
    predictor, dataset = load(model, device="cpu"), open_dataset(discs)
    shown, truth = [], []
    for number in range(8, 11):
        maps = predictor.segment(discs / "images" / f"disc_{number:02d}.png", probabilities=True).probabilities
        assert maps is not None
        shown.append(maps.reshape(2, -1).T)
        with Image.open(discs / "masks" / f"disc_{number:02d}.png") as mask:
            truth.append(np.asarray(mask, np.int64).ravel())
    after = reliability(np.concatenate(shown), np.concatenate(truth))
    assert after.error == pytest.approx(found.after.error, abs=1e-4)
    assert dataset.classes.num_classes == 2


def test_twice_is_once(model: Path, discs: Path) -> None:
    first = calibrate(model, discs, device="cpu", quiet=True)["segment"]
    content = model.read_bytes()
    second = calibrate(model, discs, device="cpu", quiet=True)["segment"]
    assert second.temperature == first.temperature
    assert second.before.error == first.before.error
    assert model.read_bytes() == content


def test_of_large_images_as_many_pixels_are_drawn_from_each_and_none_that_does_not_count(
    model: Path, discs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(discs)
    monkeypatch.setattr("segkit.evaluation.probabilities.MOST_PIXELS", 300)
    heads: dict[TaskName, ClassMap] = {"segment": dataset.classes}
    records = dataset.split("val")
    drawn, again = (collect_cases(load(model, device="cpu"), records, heads)["segment"] for _ in range(2))
    assert (len(drawn.labels), drawn.images) == (300, 3)
    assert set(drawn.labels.tolist()) == {0, 1}
    assert IGNORE_INDEX not in drawn.labels
    np.testing.assert_array_equal(drawn.probabilities, again.probabilities)


def test_images_that_it_was_trained_on_are_refused(model: Path, discs: Path, tmp_path: Path) -> None:
    content = model.read_bytes()
    with pytest.raises(DataError, match=r"the model was trained on 8 of the images in .*, of which it is surer"):
        calibrate(model, discs, split="all", device="cpu", quiet=True)
    assert model.read_bytes() == content
    other = write_discs(tmp_path / "other", first=100, count=14)
    assert calibrate(model, other, split="all", device="cpu", quiet=True)["segment"].images == 14
    assert read_card(model).scores["calibration"]["segment"]["part"] == "all"


def test_what_has_no_temperature_is_refused(model: Path, discs: Path, tmp_path: Path) -> None:
    save_ensemble(tmp_path / "ensemble.json", [model, model])
    with pytest.raises(UsageError, match="lists several models, and each image of their data trained some of them"):
        calibrate(tmp_path / "ensemble.json", discs)
    with pytest.raises(UsageError, match=r"the name ends in none of .png, .svg"):
        calibrate(model, discs, output=tmp_path / "reliability.jpg")


def test_as_typed(model: Path, discs: Path, command: Ends, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "new" / "reliability.svg"
    assert command("calibrate", model, discs, "-o", picture, "--json", "--device", "cpu") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == read_card(model).scores["calibration"]
    assert f"ECE {printed['segment']['ece']['after']:.4f}" in picture.read_text()
    scores = segkit.evaluate(model, discs, device="cpu", quiet=True).scores
    assert scores["evaluated"]["part"] == "the model's own test part"
