"""A model loads from what a user calls it, without the network, to the very weights that were saved."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segkit.errors import ModelFileError, UsageError
from segkit.inference import networks
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.loading import find_model_file, load
from segkit.inference.predictor import Predictor
from segkit.modelfile import ModelCard, load_model_file, save_model_file
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap
from tests.inference.networks import class_map, photo, plain_pipeline


def save(path: Path, config: dict[str, Any] | None = None, **settings: Any) -> Predictor:
    """Save a small network with random weights and return its predictor."""
    torch.manual_seed(0)
    model = build_model(ModelConfig.parse({"num_classes": 3} | (config or {"backbone_options": {"width": 4}})))
    pipeline = plain_pipeline(stride_multiple=model.stride_multiple, **settings)
    save_model_file(path, {name: value.numpy() for name, value in model.state_dict().items()}, card(model, pipeline))
    return Predictor(TorchEngine(model), pipeline, {"segment": class_map(3)})


def card(model: Any, pipeline: Pipeline) -> ModelCard:
    return ModelCard(
        heads={"segment": class_map(3).to_dict()},
        model=model.config.model_dump(mode="json"),
        pipeline=pipeline.model_dump(mode="json"),
        scores={"mean_dice": 0.5},
    )


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    "config",
    [
        {"backbone_options": {"width": 4}},
        {"backbone": "smp/resnet18", "decoder": "unet"},
        {"backbone": "smp/mobilenet_v2", "decoder": "smp/unet"},
    ],
)
@pytest.mark.usefixtures("no_network")
def test_loaded_model_gives_the_same_bits_offline(tmp_path: Path, config: dict[str, Any]) -> None:
    saved = save(tmp_path / "model.safetensors", config)
    loaded = load(tmp_path / "model.safetensors", device="cpu")
    image = photo(45, 50)
    first, second = (predictor.segment(image, probabilities=True).probabilities for predictor in (saved, loaded))
    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert loaded.card is not None
    assert loaded.card.scores == {"mean_dice": 0.5}
    assert loaded.notes == ()


def test_file_run_folder_and_name_are_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/cells-1", "weights"):
        Path(folder).mkdir(parents=True)
    Path("runs/cells-1/model.safetensors").touch()
    Path("weights/cells.safetensors").touch()
    assert find_model_file("runs/cells-1") == find_model_file("runs/cells-1/model.safetensors")
    assert find_model_file("cells") == Path("weights/cells.safetensors")


def test_wrong_name_gets_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/cells-1").mkdir(parents=True)
    Path("weights").mkdir()
    Path("weights/membrane.safetensors").touch()
    with pytest.raises(UsageError, match=r"no model 'runs/cels-1': .*Did you mean 'runs/cells-1'\?"):
        find_model_file("runs/cels-1")
    with pytest.raises(UsageError, match=r"no name in weights/\. Did you mean 'membrane'\?"):
        find_model_file("membrain")
    with pytest.raises(UsageError, match=r"it is no model file, no run folder and no name in weights/\.$"):
        find_model_file("something/else")


def test_an_empty_name_is_not_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.safetensors").touch()
    with pytest.raises(UsageError, match=r"no model '': it is no model file, no run folder and no name in weights/"):
        find_model_file("")


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no model\.safetensors; name a run folder or a model file"):
        find_model_file(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(
        UsageError, match=r"has no model\.safetensors before its first validation; go on with '--resume'"
    ):
        find_model_file(tmp_path)


def test_precision_the_device_lacks_is_replaced_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.safetensors"
    save(path, precision="bf16")
    monkeypatch.setattr(networks, "bf16_hardware", lambda _: "amx_bf16")
    assert load(path, "cpu").engine.description == "torch, cpu, bf16"
    assert load(path, "cpu").notes == ()
    asked = load(path, "cpu", precision="fp32")
    assert asked.engine.description == "torch, cpu, fp32"
    assert asked.notes == ("predicting in fp32, validated in bf16: as asked; masks may differ in a few pixels",)
    monkeypatch.setattr(networks, "bf16_hardware", lambda _: None)
    replaced = load(path, "cpu")
    assert replaced.engine.description == "torch, cpu, fp32"
    assert "validated in bf16: cpu has no bf16 in hardware" in replaced.notes[0]


def change(path: Path, tensors: dict[str, Any] | None = None, **changes: Any) -> None:
    """Write a model file again with parts of its card, or its weights, replaced."""
    old, weights = load_model_file(path)
    save_model_file(path, weights if tensors is None else tensors, old.model_copy(update=changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"num_classes": 3, "backbone": "from_the_future"}}, "unknown backbone 'from_the_future'"),
        ({"model": {"num_classes": 5, "backbone_options": {"width": 4}}}, "size mismatch"),
        ({"model": {"num_classes": 3, "backbone_options": {"width": 4}, "depht": 3}}, "unknown key 'depht'"),
        ({"pipeline": {}}, "pipeline: channels"),
        ({"heads": {"segment": {}}}, "names"),
        ({"tensors": {}}, "Missing key"),
        ({"heads": {"classify": class_map(3).to_dict()}}, "its heads are classify, its network's segment"),
        ({"heads": {"segment": ClassMap(("a", "b")).to_dict()}}, "to segment it names 2 classes, its network has 3"),
    ],
)
def test_file_that_describes_no_model(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "m.safetensors"
    save(path)
    change(path, **changes)
    with pytest.raises(
        ModelFileError, match="holds no model this segkit can build; update segkit or save it"
    ) as caught:
        load(path, "cpu")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
