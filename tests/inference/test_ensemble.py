"""Several networks as one model: the mean of their probabilities, whole and in tiles, from one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segkit.data.image_io import read_mask, write_image
from segkit.errors import ModelFileError, UsageError
from segkit.explanation.describe import describe
from segkit.explanation.subject import network_of
from segkit.inference.ensemble import EnsemblePredictor
from segkit.inference.loading import find_model_file, load
from segkit.inference.predictor import Predictor
from segkit.inference.writer import write_predictions
from segkit.modelfile import ModelCard, find_in_run, save_ensemble, save_model_file
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model
from segkit.models.weights import load_weights
from segkit.ops.fusion import fuse_boxes
from tests.inference.networks import class_map, photo, plain_pipeline


def save(path: Path, seed: int, task: str = "segment", classes: int = 3, **settings: Any) -> Path:
    """A small network with random weights and a normalization of its own, which knows one training image."""
    torch.manual_seed(seed)
    given = {
        "num_classes": classes,
        "backbone_options": {"width": 4, "depth": 4 if task == "detect" else 2},
        "task": task,
    }
    model = build_model(ModelConfig.parse(given | ({"decoder": None} if task in ("classify", "detect") else {})))
    pipeline = plain_pipeline(stride_multiple=model.stride_multiple, **settings)
    pipeline = pipeline.model_copy(update={"mean": (0.1 * seed, 0.2, 0.3), "std": (0.2, 0.1 + 0.1 * seed, 0.3)})
    card = ModelCard(
        heads={model.config.task: class_map(classes).to_dict()},
        model=model.config.model_dump(mode="json"),
        pipeline=pipeline.model_dump(mode="json"),
        data={"hashes": {"train": [f"image {seed}"], "test": ["image 9"]}},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model_file(path, {name: value.numpy() for name, value in model.state_dict().items()}, card)
    return path


def ensemble(folder: Path, count: int = 3, **settings: Any) -> Predictor:
    models = [save(folder / f"fold-{seed}" / "model.safetensors", seed, **settings) for seed in range(count)]
    save_ensemble(folder / "ensemble.json", models)
    return load(folder, device="cpu")


def members(folder: Path, count: int = 3) -> list[Predictor]:
    return [load(folder / f"fold-{seed}", device="cpu") for seed in range(count)]


@pytest.mark.parametrize("settings", [{}, {"whole_limit": 1000, "tile": 32}], ids=["whole", "in tiles"])
def test_probabilities_are_the_mean_of_the_members(tmp_path: Path, settings: dict[str, Any]) -> None:
    image = photo(70, 61)
    found = ensemble(tmp_path, **settings).segment(image, probabilities=True)
    each = [member.segment(image, probabilities=True).probabilities for member in members(tmp_path)]
    assert found.probabilities is not None
    mean = np.mean([maps for maps in each if maps is not None], axis=0)
    np.testing.assert_allclose(found.probabilities, mean, atol=1e-6)
    clear = np.sort(mean, axis=0)[-1] - np.sort(mean, axis=0)[-2] > 1e-5
    np.testing.assert_array_equal(found.mask[clear], mean.argmax(axis=0)[clear])
    assert clear.mean() > 0.99
    assert len({maps.tobytes() for maps in each if maps is not None}) == 3


def test_one_member_is_that_model(tmp_path: Path) -> None:
    image = photo(33, 40)
    found = ensemble(tmp_path, count=1).segment(image)
    np.testing.assert_array_equal(found.mask, members(tmp_path, 1)[0].segment(image).mask)


def test_classes_of_images_are_averaged_too(tmp_path: Path) -> None:
    image = photo(32, 32)
    found = ensemble(tmp_path, task="classify").classify(image)
    mean = np.mean([member.classify(image).probabilities for member in members(tmp_path)], axis=0)
    np.testing.assert_allclose(found.probabilities, mean, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"whole_limit": 1000, "tile": 64}], ids=["whole", "in tiles"])
def test_boxes_are_those_of_the_members_fused(tmp_path: Path, settings: dict[str, Any]) -> None:
    image = photo(90, 70)
    found = ensemble(tmp_path, task="detect", **settings).detect(image)
    each = [member.detect(image) for member in members(tmp_path)]
    assert all(0 < len(own) < 300 for own in each)  # nothing was cut off
    corners, labels, scores = fuse_boxes([(own.corners, own.labels, own.scores) for own in each])
    sure = scores >= 0.05
    np.testing.assert_allclose(found.scores, scores[sure], atol=1e-6)
    np.testing.assert_allclose(found.corners, corners[sure], atol=1e-3)
    np.testing.assert_array_equal(found.labels, labels[sure])


def test_rules_that_each_fold_chose_for_itself_are_averaged(tmp_path: Path) -> None:
    chosen: list[dict[str, Any]] = [
        {"threshold": 0.4, "seed_threshold": 0.5, "smallest_seed": 1},
        {"threshold": 0.5, "seed_threshold": 0.6, "smallest_seed": 8},
    ]
    models = [
        save(tmp_path / f"{seed}.safetensors", seed, task="detect", objects=rule) for seed, rule in enumerate(chosen)
    ]
    save_ensemble(tmp_path / "ensemble.json", models)
    rule = load(tmp_path / "ensemble.json", device="cpu").pipeline.objects
    assert (rule.threshold, rule.seed_threshold, rule.smallest_seed) == pytest.approx((0.45, 0.55, 4))
    save(tmp_path / "1.safetensors", 1, task="detect", objects={"overlap": 0.3})
    with pytest.raises(ModelFileError, match=r"ensemble.json lists differ in objects; an ensemble is of networks"):
        load(tmp_path / "ensemble.json")


def test_files_are_predicted_as_by_one_model(tmp_path: Path) -> None:
    predictor = ensemble(tmp_path / "run")
    write_image(tmp_path / "a.png", photo(20, 30))
    write_predictions(predictor, [tmp_path / "a.png"], tmp_path / "out")
    np.testing.assert_array_equal(
        read_mask(tmp_path / "out" / "masks" / "a.png"), predictor.segment(tmp_path / "a.png").mask
    )


def test_it_knows_what_each_member_was_trained_on(tmp_path: Path) -> None:
    predictor = ensemble(tmp_path)
    assert predictor.card is not None
    assert predictor.card.data["hashes"]["train"] == ["image 0", "image 1", "image 2"]
    assert predictor.card.data["hashes"]["test"] == ["image 9"]
    assert predictor.engine.description == "ensemble of 3 networks, torch, cpu, fp32"


def test_the_folder_may_move_and_the_list_be_named(tmp_path: Path) -> None:
    ensemble(tmp_path / "run", count=2)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert json.loads((tmp_path / "elsewhere" / "ensemble.json").read_text())["models"] == [
        "fold-0/model.safetensors",
        "fold-1/model.safetensors",
    ]
    assert find_model_file(tmp_path / "elsewhere") == tmp_path / "elsewhere" / "ensemble.json"
    assert isinstance(load(tmp_path / "elsewhere" / "ensemble.json", device="cpu"), EnsemblePredictor)


def test_members_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    models = [
        save(tmp_path / "0.safetensors", 0, classes=3),
        save(tmp_path / "1.safetensors", 1, classes=4, tile=64),
    ]
    save_ensemble(tmp_path / "ensemble.json", models)
    with pytest.raises(
        ModelFileError, match=r"ensemble.json lists differ in tile, classes; an ensemble is of networks"
    ):
        load(tmp_path / "ensemble.json")


def test_lists_that_are_none_are_refused(tmp_path: Path) -> None:
    predictor = ensemble(tmp_path / "run", count=2)
    listed = tmp_path / "run" / "ensemble.json"
    (tmp_path / "run" / "fold-1" / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match=r"ensemble.json lists .*fold-1/model.safetensors, which is no model file"):
        load(listed)
    listed.write_text('{"schema_version": 3, "models": []}')
    with pytest.raises(ModelFileError, match="written by a newer segkit"):
        load(listed)
    listed.write_text('{"schema_version": 1, "models": []}')
    with pytest.raises(ModelFileError, match="lists no model"):
        load(listed)
    for content in ('{"accuracy": 1}', "[1, 2]", "{", '{"schema_version": 1, "models": 3}'):
        listed.write_text(content)
        with pytest.raises(ModelFileError, match="is no model and no list of the models of an ensemble"):
            load(listed)
    with pytest.raises(UsageError, match="ensemble of 2 networks, torch, cpu, fp32 cannot be looked into"):
        network_of(predictor)


def test_where_one_network_is_wanted_a_member_is_named(tmp_path: Path) -> None:
    ensemble(tmp_path / "run", count=2)
    with pytest.raises(ModelFileError, match=r"lists the models of an ensemble; name one of them: .*fold-0/model"):
        describe(str(tmp_path / "run"))
    network = build_model(ModelConfig(heads={"segment": 3}, backbone_options={"width": 4, "depth": 2}))
    with pytest.raises(ModelFileError, match=r"lists the models of an ensemble; name one of them: .*fold-0/model"):
        load_weights(network, str(tmp_path / "run"))


def test_folds_that_are_not_all_trained_are_no_model_yet(tmp_path: Path) -> None:
    save(tmp_path / "run" / "fold-0" / "model.safetensors", 0)
    with pytest.raises(UsageError, match=r"has no ensemble.json before all its folds are trained; .*run/fold-0"):
        find_in_run(tmp_path / "run")
