"""Inception v3 against torchvision's."""

from __future__ import annotations

from math import ceil

import pytest
import torch
import torchvision
from torch import Tensor, nn

from segkit.models.backbones import inception
from segkit.models.backbones._base import BACKBONES
from segkit.models.factory import create_model
from segkit.models.model import Model
from segkit.models.weights import load_weights
from tests.models.backbones.sensitive import depends_on_images, randomize


def classifier(num_classes: int = 10) -> Model:
    return create_model("inception_v3", task="classify", num_classes=num_classes)


def random_images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 299, 299, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """torchvision's network with random weights and statistics of the images, without dropout."""
    network = torchvision.models.Inception3(num_classes=10, init_weights=False, dropout=0)
    randomize(network, random_images())
    return network


def test_sizes_and_parameters_are_torchvisions() -> None:
    with torch.device("meta"):
        model = classifier(1000)
        maps = model.backbone(torch.zeros(1, 3, 299, 299)).maps
    assert [tuple(map_.shape[1:]) for map_ in maps] == [
        (64, 147, 147), (192, 71, 71), (288, 35, 35), (768, 17, 17), (2048, 8, 8)
    ]  # fmt: skip
    meta = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.meta
    assert sum(parameter.numel() for parameter in model.parameters()) == meta["num_params"] == 27_161_264


def test_a_7x7_convolution_is_two_of_7_weights_each() -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get("inception_v3").build(3)
    kernels = {layer.kernel_size for layer in backbone.modules() if isinstance(layer, nn.Conv2d)}
    assert kernels == {(1, 1), (3, 3), (5, 5), (1, 7), (7, 1), (1, 3), (3, 1)}


@pytest.mark.parametrize("size", [(32, 64), (1, 33), (97, 131), (299, 75)])
def test_padded_maps_have_the_sides_of_the_image_by_the_stride_rounded_up(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get("inception_v3").build(1)
        maps = backbone(torch.zeros(2, 1, *size)).maps
    strides = [spec.stride for spec in backbone.specs]
    assert strides == [2, 4, 8, 16, 32]
    assert [tuple(map_.shape[2:]) for map_ in maps] == [
        (ceil(size[0] / stride), ceil(size[1] / stride)) for stride in strides
    ]


def test_the_task_decides_whether_it_is_padded_and_the_weights_fit_both() -> None:
    with torch.device("meta"):
        model, dense = classifier(), create_model("inception_v3", num_classes=2)
    assert model.config.backbone_options == {"padded": False}
    assert dense.config.backbone_options == {"padded": True}
    shapes = [{key: value.shape for key, value in part.backbone.state_dict().items()} for part in (model, dense)]
    assert shapes[0] == shapes[1]


def test_padding_leaves_the_middle_of_the_finest_map_as_it_is() -> None:
    torch.manual_seed(0)
    build = BACKBONES.get("inception_v3").build
    padded, valid = (build(3, padded=padded).get_submodule("stages.0").eval() for padded in (True, False))
    valid.load_state_dict(padded.state_dict())
    images = random_images(1)[..., :65, :81]
    with torch.inference_mode():
        expected = valid(images)
        # Padding moves the first convolution by one pixel of the image, the second by one of the map.
        given = padded(images[..., 1:, 1:])[..., 1:, 1:]
        rows, columns = (slice(2, side - 2) for side in expected.shape[2:])
        torch.testing.assert_close(given[..., rows, columns], expected[..., rows, columns])


def test_logits_are_torchvisions_in_evaluation_and_without_dropout_in_training(theirs: nn.Module) -> None:
    ours = classifier()
    ours.load_state_dict(inception.rename_torchvision(theirs.state_dict()))
    for layer in ours.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0
    images = random_images()
    statistics = {key: value.clone() for key, value in theirs.state_dict().items()}
    with torch.inference_mode():
        expected = theirs.eval()(images)
        assert depends_on_images(expected)
        torch.testing.assert_close(ours.eval()(images), {"classify": expected}, rtol=0, atol=1e-4)
        logits, side = theirs.train()(images)
        assert depends_on_images(logits)
        assert depends_on_images(side)
        named = {"classify": logits, "classify/auxiliary_1": side}
        torch.testing.assert_close(ours.train()(images), named, rtol=0, atol=1e-4)
    theirs.load_state_dict(statistics)


def test_imagenet_weights_take_the_usual_normalization(theirs: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetch(weights: str) -> dict[str, Tensor]:
        asked.append(weights)
        return dict(theirs.state_dict())

    monkeypatch.setattr(inception, "fetch_state", fetch)
    monkeypatch.setattr(theirs, "transform_input", True)
    model = classifier().eval()
    report = load_weights(model, "imagenet")
    assert asked == ["Inception_V3_Weights.IMAGENET1K_V1"]
    torchvision.models.get_weight(asked[0])  # raises for a name it does not have
    assert (report.new, report.unused) == ((), ())
    images = random_images()
    with torch.inference_mode():
        expected = theirs.eval()(images)
        assert depends_on_images(expected)
        torch.testing.assert_close(model(images)["classify"], expected, rtol=0, atol=1e-4)


def test_the_side_classifier_answers_in_training_only_and_is_not_in_a_segmentation_network() -> None:
    with torch.device("meta"):
        model, dense = classifier(), create_model("inception_v3", num_classes=2)
        assert list(model.eval()(torch.zeros(2, 3, 299, 299))) == ["classify"]
        assert list(dense(torch.zeros(2, 3, 64, 64))) == ["segment"]
    assert [key for key in dense.state_dict() if "side" in key] == []


def test_every_parameter_learns_from_the_two_classifiers() -> None:
    torch.manual_seed(0)
    model = classifier(3)
    sum(logits.square().mean() for logits in model(random_images()).values()).backward()
    assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []
