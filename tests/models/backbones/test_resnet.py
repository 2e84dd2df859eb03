"""Residual networks: equal to torchvision's, the paper's stride and table, dilation, and the switchable parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES
from segkit.models.backbones.resnet import ARCHITECTURES, ResidualBlock, rename_torchvision
from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.layers.activation import ActivationName
from segkit.models.layers.conv import ConvStyle, StandardizedConv2d
from segkit.models.layers.norm import NormName
from segkit.models.model import Model
from tests.models.backbones.sensitive import assert_equal_to_torchvision, torchvision_network

# Table 1 of He et al. 2015: multiply-adds at 224 x 224, as printed; parameters: torchvision's documentation.
TABLE = {
    "resnet18": (1.8e9, 11_689_512),
    "resnet34": (3.6e9, 21_797_672),
    "resnet50": (3.8e9, 25_557_032),
    "resnet101": (7.6e9, 44_549_160),
    "resnet152": (11.3e9, 60_192_808),
}
SIZE = (64, 96)


def classifier(name: str, **options: Option) -> Model:
    return create_model(name, task="classify", num_classes=1000, backbone_options=options)


def random_images(count: int = 2, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))


def torchvisions(name: str, **options: Any) -> Any:
    return torchvision_network(name.removesuffix("_tv"), random_images(), **options)


# ResNet-101 is built as ResNet-152 is, with fewer blocks in a stage.
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50_tv", "resnet152_tv"])
def test_logits_are_those_of_torchvision_in_training_and_evaluation(name: str) -> None:
    theirs = torchvisions(name)
    assert_equal_to_torchvision(classifier(name), theirs, rename_torchvision, random_images())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_tensors_of_torchvision_are_all_ours(name: str) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name.removesuffix("_tv"))
        renamed = rename_torchvision(theirs.state_dict())
        ours = classifier(name).state_dict()
    assert {key: tensor.shape for key, tensor in renamed.items()} == {key: tensor.shape for key, tensor in ours.items()}


def test_a_name_that_torchvision_does_not_have_is_refused() -> None:
    with pytest.raises(LookupError, match="has no tensor 'weight'"):
        rename_torchvision({"weight": torch.zeros(1)})


def test_the_papers_network_departs_from_torchvisions_in_the_place_of_the_stride_alone() -> None:
    theirs = torchvisions("resnet50")
    state = rename_torchvision(theirs.state_dict())
    paper = classifier("resnet50").eval()
    paper.load_state_dict(state, strict=True)
    with torch.no_grad():
        logits = paper(random_images())["classify"]
        assert (logits - theirs(random_images())).abs().mean() > 0.01
        for stage in (theirs.layer2, theirs.layer3, theirs.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
        torch.testing.assert_close(logits, theirs(random_images()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TABLE)
def test_depth_multiply_adds_and_parameters_are_those_of_the_papers_table(name: str) -> None:
    counts: dict[str, int] = {}

    def count(path: str, layer: nn.Conv2d | nn.Linear, output: Tensor) -> None:
        counts[path] = output.numel() * layer.weight[0].numel()

    with torch.device("meta"):
        model = classifier(name)
    for path, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda layer, _, output, path=path: count(path, layer, output))
    model(torch.zeros(1, 3, 224, 224, device="meta"))
    multiply_adds, parameters = TABLE[name]
    # The paper's name counts layers without projections.
    assert sum("shortcut" not in path for path in counts) == int(name.removeprefix("resnet"))
    assert sum(counts.values()) == pytest.approx(multiply_adds, abs=0.08e9)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_a_block_computed_by_hand() -> None:
    """F(x) = relu(2x) * 3 in the middle taps, projected shortcut -x: relu(6 relu(x) - x)."""
    block = ResidualBlock(1, 2, ARCHITECTURES["resnet18"], 1, (1, 1), ConvStyle(norm="none"), 0.0)
    convolutions = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    assert [tuple(layer.kernel_size) for layer in convolutions] == [(3, 3), (3, 3), (1, 1)]
    for layer, value in zip(convolutions, (2.0, 3.0, -1.0), strict=True):
        nn.init.zeros_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
        for channel in range(2):
            layer.weight.data[channel, min(channel, layer.in_channels - 1), layer.kernel_size[0] // 2] = (
                torch.tensor([value]) if layer.kernel_size == (1, 1) else torch.tensor([0.0, value, 0.0])
            )
    x = torch.tensor([[[[-4.0, 0.5], [1.0, -2.0]]]])
    expected = torch.tensor([[4.0, 2.5], [5.0, 2.0]])
    assert torch.equal(block(x), expected.expand(1, 2, 2, 2))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet50_tv"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_a_dilated_network_holds_the_maps_of_the_strided_one(name: str, output_stride: int) -> None:
    torch.manual_seed(0)
    strided = BACKBONES.get(name).build(3).double().eval()
    dilated = BACKBONES.get(name).build(3, output_stride=output_stride).double().eval()
    dilated.load_state_dict(strided.state_dict(), strict=True)
    images = random_images(1).double()
    with torch.no_grad():
        maps, dense = strided(images).maps, dilated(images).maps
    assert [spec.stride for spec in dilated.specs] == [2, 4, 8, 16][: output_stride.bit_length() - 1]
    assert dense[-1].shape == (1, dilated.specs[-1].channels, *(side // output_stride for side in SIZE))
    step = 32 // output_stride
    torch.testing.assert_close(dense[-1][..., ::step, ::step], maps[-1])
    for spec, map_, other in zip(dilated.specs[:-1], dense, maps, strict=False):
        assert map_.shape[1] == spec.channels
        assert torch.equal(map_, other)


def test_torchvisions_dilation_is_ours() -> None:
    theirs = torchvisions("resnet50", replace_stride_with_dilation=[False, True, True])
    ours = classifier("resnet50_tv", output_stride=8).eval()
    ours.load_state_dict(rename_torchvision(theirs.state_dict()), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(ours(random_images(1))["classify"], theirs(random_images(1)), rtol=1e-4, atol=1e-4)


def test_maps_are_the_stem_in_front_of_the_pool_and_the_end_of_every_stage() -> None:
    theirs = torchvisions("resnet18")
    ours = classifier("resnet18").eval()
    ours.load_state_dict(rename_torchvision(theirs.state_dict()))
    with torch.no_grad():
        x = functional.relu(theirs.bn1(theirs.conv1(random_images(1))))
        expected = [x]
        x = theirs.maxpool(x)
        for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
            x = stage(x)
            expected.append(x)
        maps = ours.backbone(random_images(1)).maps
    for map_, other in zip(maps, expected, strict=True):
        torch.testing.assert_close(map_, other, rtol=1e-4, atol=1e-4)
    assert [spec.channels for spec in ours.backbone.specs] == [64, 64, 128, 256, 512]


@pytest.mark.parametrize(
    ("norm", "activation"),
    [(norm, "relu") for norm in get_args(NormName)]
    + [("batch", activation) for activation in get_args(ActivationName)],
)
def test_every_norm_and_activation_keeps_the_shapes_declared(norm: str, activation: str) -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get("resnet18").build(3, norm=norm, activation=activation, weight_standardization=True)
        maps = backbone(torch.zeros(2, 3, *SIZE)).maps
    for spec, map_ in zip(backbone.specs, maps, strict=True):
        assert map_.shape == (2, spec.channels, *(side // spec.stride for side in SIZE))
    layers = list(backbone.modules())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in layers) == (norm == "batch")
    assert any(isinstance(layer, nn.ReLU) for layer in layers) == (activation == "relu")
    assert all(isinstance(layer, StandardizedConv2d) for layer in layers if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize(
    ("pool", "function"),
    [
        ("overlapping_max", partial(functional.max_pool2d, kernel_size=3, stride=2, padding=1)),
        ("max", partial(functional.max_pool2d, kernel_size=2)),
        ("average", partial(functional.avg_pool2d, kernel_size=2)),
        ("lp", partial(functional.lp_pool2d, norm_type=2, kernel_size=2)),
    ],
)
def test_the_pool_behind_the_stem_can_be_chosen(pool: str, function: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    backbone = BACKBONES.get("resnet18").build(3, pool=pool).eval()
    stage = backbone.get_submodule("stages.0")
    with torch.no_grad():
        maps = backbone(random_images(1)).maps
        torch.testing.assert_close(maps[1], stage(function(maps[0])))


def test_a_block_with_maxout_takes_the_larger_of_two_sums() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(4, 4, ARCHITECTURES["resnet18"], 1, (1, 1), ConvStyle("none", "maxout"), 0.0)
    x = torch.randn(1, 4, 5, 6)
    pieces = block.residual.get_submodule("conv2.0")(block.residual[0](x))
    expected = torch.maximum(pieces[:, 0::2] + x, pieces[:, 1::2] + x)
    torch.testing.assert_close(block(x), expected)


def test_dropout_stands_in_front_of_the_last_convolution_of_a_block_and_renames_nothing() -> None:
    plain, dropping = (BACKBONES.get("resnet18").build(3, dropout=dropout) for dropout in (0.0, 0.5))
    assert list(plain.state_dict()) == list(dropping.state_dict())
    residual = dropping.get_submodule("stages.0.0.residual")
    assert [name for name, _ in residual.named_children()] == ["conv1", "dropout", "conv2"]
    assert not any(isinstance(layer, nn.Dropout) for layer in plain.modules())


def test_published_weights_of_the_papers_bottlenecks_are_pointed_to_torchvisions() -> None:
    with pytest.raises(UsageError, match="backbone resnet50_tv, which departs from the paper"):
        create_model("resnet50", num_classes=2, weights="imagenet")


def test_imagenet_weights_are_torchvisions_under_our_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    state = torchvision.models.resnet18().state_dict()

    def fetch(weights: str) -> dict[str, Tensor]:
        asked.append(weights)
        return dict(state)

    monkeypatch.setattr("segkit.models.backbones.resnet.fetch_state", fetch)
    model = create_model("resnet18", num_classes=2, weights="imagenet")
    assert asked == ["ResNet18_Weights.IMAGENET1K_V1"]
    assert torch.equal(model.state_dict()["backbone.stem.0.weight"], state["conv1.weight"])
    torchvision.models.get_weight(asked[0])


@pytest.mark.parametrize("name", [name for name, architecture in ARCHITECTURES.items() if architecture.weights])
def test_the_weights_named_are_published(name: str) -> None:
    weights = torchvision.models.get_weight(ARCHITECTURES[name].weights)
    assert weights.url.split("/")[-1].startswith(name.removesuffix("_tv") + "-")
