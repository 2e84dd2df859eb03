"""Initial weights: published ones (served by the test), files of segkit and of others."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.errors
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from segkit.errors import ModelFileError, SegkitError, UsageError
from segkit.modelfile import ModelCard, save_model_file
from segkit.models.backbones._base import BACKBONES
from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.model import Model
from segkit.models.options import default_options
from segkit.models.weights import fit_channels, load_weights

SMALL = {"width": 4, "depth": 3}


def small_model(**changes: Any) -> Model:
    return create_model(**{"num_classes": 2, "backbone_options": SMALL, **changes})


def save_as_segkit(model: Model, path: Path) -> Path:
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    card = ModelCard(heads={model.config.task: {}}, model=model.config.model_dump(mode="json"), pipeline={})
    save_model_file(path, tensors, card)
    return path


def assert_loaded(model: Model, tensors: dict[str, Tensor], prefix: str) -> None:
    state = model.state_dict()
    assert all(torch.equal(state[prefix + name], tensor) for name, tensor in tensors.items())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, Tensor]], list[str]]:
    """Serves one state dict as every file of the hub; returns the repositories asked for."""

    def serve(state: dict[str, Tensor]) -> list[str]:
        asked: list[str] = []
        save_file(state, tmp_path / "hub.safetensors")

        def download(repo_id: str, filename: str, revision: str) -> str:
            asked.append(f"{repo_id}/{filename}")
            assert len(revision) == 40, "pinned to one commit"
            return str(tmp_path / "hub.safetensors")

        monkeypatch.setattr(smp.encoders, "hf_hub_download", download)
        return asked

    return serve


@pytest.mark.parametrize("in_channels", [1, 3, 4])
def test_imagenet_weights_come_from_smps_hub(in_channels: int, hub: Callable[[dict[str, Tensor]], list[str]]) -> None:
    published = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    asked = hub(published)
    model = create_model("smp/resnet18", num_classes=2, in_channels=in_channels)
    report = load_weights(model, "imagenet")
    assert "smp-hub/resnet18.imagenet/model.safetensors" in asked
    reference = smp.encoders.get_encoder("resnet18", in_channels=in_channels, weights="imagenet").state_dict()
    assert_loaded(model, reference, "backbone.encoder.")
    assert len(report.loaded) == len(published)
    assert {name.split(".")[0] for name in report.new} == {"decoder", "heads"}


def test_imagenet_weights_of_timm_are_asked_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model
    asked: list[bool] = []

    def create_offline(name: str, pretrained: bool = False, **options: Any) -> Any:
        asked.append(pretrained)
        torch.manual_seed(5)
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", create_offline)
    model = create_model("smp/tu-resnet18", num_classes=2, in_channels=4)
    assert True not in asked
    torch.manual_seed(9)
    for parameter in model.backbone.parameters():
        torch.nn.init.normal_(parameter)
    report = load_weights(model, "imagenet")
    assert asked[-1] is True
    torch.manual_seed(5)
    reference = create("resnet18", features_only=True, in_chans=4, out_indices=(0, 1, 2, 3, 4)).state_dict()
    assert_loaded(model, reference, "backbone.encoder.model.")
    assert len(report.loaded) == len(reference)


def test_no_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection to the hub\nand no file in the cache")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", fail)
    expected = r"weights 'imagenet' of smp/resnet18 from huggingface.co \(no connection to the hub\); connect once"
    with pytest.raises(SegkitError, match=expected) as caught:
        create_model("smp/resnet18", num_classes=2, weights="imagenet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        (
            "plain",
            "imagenet",
            r"no file 'imagenet'; backbone plain has the weights none\. Most backbones smp/NAME have 'imagenet'",
        ),
        (
            "smp/resnet18",
            "imagnet",
            r"backbone smp/resnet18 has the weights none, imagenet, ssl, swsl\. Did you mean 'imagenet'",
        ),
        ("smp/resnext101_32x4d", "imagenet", r"has the weights none, ssl, swsl"),
        ("plain", "runs/lost.safetensors", r"no file 'runs/lost.safetensors'"),
    ],
)
def test_weights_that_do_not_exist_are_said_with_those_that_do(backbone: str, weights: str, message: str) -> None:
    with torch.device("meta"):
        model = create_model(backbone, num_classes=2)
    with pytest.raises(UsageError, match=message):
        load_weights(model, weights)


def test_a_segkit_model_of_other_classes_starts_all_but_the_head(tmp_path: Path) -> None:
    source = small_model(num_classes=5)
    path = save_as_segkit(source, tmp_path / "five.safetensors")
    model = small_model(num_classes=3)
    report = load_weights(model, path)
    assert report.new == ("heads.segment.convolution.weight", "heads.segment.convolution.bias")
    assert set(report.unused) == set(report.new)
    assert_loaded(model, dict(source.backbone.state_dict()), "backbone.")
    head = 4 * 3 + 3
    total = sum(parameter.numel() for parameter in model.parameters())
    assert report.share == pytest.approx(1 - head / total)
    count = len(model.state_dict())
    assert report.describe() == (
        f"weights {path}: {count - 2} of {count} tensors loaded ({1 - head / total:.1%} of the parameters); "
        "new: heads.segment (2); not used: heads.segment (2)"
    )


def test_options_without_a_trace_in_the_shapes_are_said(tmp_path: Path) -> None:
    trained = small_model(backbone_options={**SMALL, "norm": "group", "activation": "relu"})
    path = save_as_segkit(trained, tmp_path / "group.safetensors")
    report = load_weights(small_model(backbone_options={**SMALL, "norm": "instance", "activation": "elu"}), path)
    assert "trained with other options of the backbone: norm group, here instance, activation relu, here elu" in (
        report.describe()
    )
    same = small_model(backbone_options={**SMALL, "norm": "group", "activation": "relu"})
    assert "other options" not in load_weights(same, path).describe()


def test_a_run_folder_means_its_model(tmp_path: Path) -> None:
    path = save_as_segkit(small_model(), tmp_path / "model.safetensors")
    assert load_weights(small_model(), tmp_path).loaded == load_weights(small_model(), path).loaded
    path.unlink()
    with pytest.raises(UsageError, match=r"has no model\.safetensors; name a run folder or a model file"):
        load_weights(small_model(), tmp_path)


def test_a_segkit_model_of_another_task_starts_the_backbone(tmp_path: Path) -> None:
    source = small_model(task="classify", num_classes=7)
    model = small_model()
    report = load_weights(model, save_as_segkit(source, tmp_path / "classifier.safetensors"))
    assert {name.split(".")[0] for name in report.loaded} == {"backbone"}
    assert {name.split(".")[0] for name in report.new} == {"decoder", "heads"}
    assert "not used: heads.classify (2)" in report.describe()


@pytest.mark.parametrize("channels", [1, 6])
def test_another_number_of_channels_fits_the_first_convolution(channels: int, tmp_path: Path) -> None:
    source = small_model()
    model = small_model(in_channels=channels)
    report = load_weights(model, save_as_segkit(source, tmp_path / "rgb.safetensors"))
    assert report.adapted == "backbone.levels.0.0.0.weight"
    assert "backbone.levels.0.0.0.weight fitted to the number of channels" in report.describe()
    assert report.new == ()
    # An image of equal channels gives what it gave before.
    grey = torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        given = model.eval()(grey.expand(-1, channels, -1, -1))["segment"]
        torch.testing.assert_close(given, source.eval()(grey.expand(-1, 3, -1, -1))["segment"])


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_channels_are_fitted_as_smp_does_it(channels: int) -> None:
    from segmentation_models_pytorch.encoders._utils import patch_first_conv

    convolution = torch.nn.Conv2d(3, 5, 3)
    fitted = fit_channels(convolution.weight.detach(), channels)
    patch_first_conv(convolution, channels, pretrained=True)
    torch.testing.assert_close(fitted, convolution.weight.detach(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("prefix", ["", "backbone.", "backbone.encoder."])
def test_a_plain_state_dict_loads_under_any_of_its_names(prefix: str, tmp_path: Path) -> None:
    source = create_model("smp/resnet18", num_classes=2)
    state = {
        name.removeprefix(prefix): tensor for name, tensor in source.state_dict().items() if name.startswith(prefix)
    }
    save_file(state, tmp_path / "state.safetensors")
    model = create_model("smp/resnet18", num_classes=2)
    report = load_weights(model, tmp_path / "state.safetensors")
    assert set(report.loaded) == {prefix + name for name in state}
    assert report.unused == ()
    assert_loaded(model, state, prefix)


def test_none_leaves_the_network_alone() -> None:
    model = small_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = load_weights(model, "none")
    assert report.loaded == ()
    assert report.describe() == f"weights none: all {len(before)} tensors start new"
    assert_loaded(model, before, "")


def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(
        UsageError, match=r"nothing in the weights .*other.safetensors fits this network \(backbone plain\)"
    ):
        load_weights(small_model(), tmp_path / "other.safetensors")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelFileError, match=re.escape(f"{path} is a pickle file")):
        load_weights(small_model(), path)
    path.write_bytes(pickle.dumps(SimpleNamespace(a=1)))
    with pytest.raises(ModelFileError, match=r"is a pickle file"):
        load_weights(small_model(), path)


PUBLISHED = {
    "resnet18": {"norm": "batch", "activation": "relu", "weight_standardization": "False", "pool": "overlapping_max"},
    "vgg11": {"norm": "none or batch", "activation": "relu", "weight_standardization": "False", "pool": "max"},
    "vgg11_bn": {"norm": "none or batch"},
    "densenet121": {"growth_rate": "32"},
}


@pytest.mark.parametrize(
    ("backbone", "option", "value"),
    [
        *[("resnet18", "norm", norm) for norm in ("layer", "instance", "group", "none")],
        ("resnet18", "activation", "elu"),
        ("resnet18", "weight_standardization", True),
        ("resnet18", "pool", "max"),
        *[("vgg11", "norm", norm) for norm in ("layer", "instance", "group")],
        ("vgg11", "activation", "leaky_relu"),
        ("vgg11", "weight_standardization", True),
        ("vgg11", "pool", "average"),
        ("vgg11_bn", "norm", "layer"),
        ("densenet121", "growth_rate", 16),
    ],
)
def test_published_weights_are_refused_where_the_network_would_compute_something_else(
    backbone: str, option: str, value: Option, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.device("meta"):
        model = create_model(backbone, num_classes=2, backbone_options={option: value})
    fetched: list[str] = []
    monkeypatch.setattr(type(model.backbone), "fetch_weights", lambda _, name: fetched.append(name))
    trained = (
        f"were trained with {option}={PUBLISHED[backbone][option]}; leave the options as they were trained, or use"
    )
    with pytest.raises(UsageError, match=rf"backbone {backbone} with {option}={value}: the weights imagenet {trained}"):
        load_weights(model, "imagenet")
    assert fetched == []


@pytest.mark.parametrize(("backbone", "options"), [("resnet18", {"dropout": 0.2}), ("vgg11", {"norm": "batch"})])
def test_published_weights_are_taken_where_the_function_is_theirs(
    backbone: str, options: dict[str, Option], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = create_model(
        backbone, "fcn32s", num_classes=2, backbone_options=options, decoder_options={"hidden": (1, 1)}
    )
    published = {f"backbone.{name}": tensor + 1 for name, tensor in model.backbone.state_dict().items()}
    monkeypatch.setattr(type(model.backbone), "fetch_weights", lambda _, name: published)
    assert load_weights(model, "imagenet").unused == ()
    assert_loaded(model, published, "")


@pytest.mark.parametrize("name", [name for name in BACKBONES if not name.startswith("smp/")])
def test_every_backbone_with_published_weights_says_which_options_they_were_trained_with(name: str) -> None:
    entry = BACKBONES.get(name)
    defaults = default_options(entry.build)
    assert all(defaults[option] in values for option, values in entry.published_options.items())
    if entry.published_weights:
        switchable = {"norm", "activation", "weight_standardization", "pool", "growth_rate"} & defaults.keys()
        assert switchable == entry.published_options.keys()


@pytest.mark.parametrize("family", ["alexnet", "densenet", "googlenet", "inception", "resnet", "vgg"])
def test_a_tensor_torchvision_does_not_have_is_refused_by_every_family(family: str) -> None:
    module = import_module(f"segkit.models.backbones.{family}")
    with pytest.raises(LookupError, match=r"torchvision's network has no tensor 'features\.99\.gain'"):
        module.rename_torchvision({"features.99.gain": torch.zeros(1)})


def test_an_inner_convolution_that_takes_as_many_channels_as_the_image_is_not_fitted(tmp_path: Path) -> None:
    def build(pattern: str) -> Model:
        return small_model(task="classify", backbone_options={"pattern": pattern, "stem_stride": 2})

    path = save_as_segkit(build("[5] [3] P [4]"), tmp_path / "other.safetensors")
    model = build("[3]*2 P [4]")
    report = load_weights(model, path)
    assert report.adapted is None
    assert "backbone.levels.0.1.0.weight" in report.new


def test_a_stem_that_moves_pixels_into_channels_takes_weights_too(tmp_path: Path) -> None:
    """No convolution takes the image itself there, so none can be fitted to another number of channels."""
    coarse = {"width": 4, "depth": 3, "stem_stride": 2}
    classifier = small_model(task="classify", num_classes=5, backbone_options=coarse)
    path = save_as_segkit(classifier, tmp_path / "classifier.safetensors")
    model = small_model(backbone_options=coarse, decoder_options={"out_stride": 2})
    report = load_weights(model, path)
    assert_loaded(model, classifier.backbone.state_dict(), "backbone.")
    assert report.adapted is None
    gray = load_weights(small_model(in_channels=1, backbone_options=coarse), path)
    assert gray.adapted is None
    assert any(name.startswith("backbone.levels.0") for name in gray.new)
