"""Highway networks: a layer computed by hand, carrying at a closed gate, layers and parameters of the paper."""

from __future__ import annotations

from math import exp

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES
from segkit.models.backbones.highway import HighwayLayer
from segkit.models.factory import create_model


def random_images(count: int = 1, size: tuple[int, int] = (32, 32)) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))


def highway_parameters(channels: int) -> int:
    """Two 3 x 3 convolutions with bias."""
    return 2 * (9 * channels * channels + channels)


def plain_parameters(before: int, after: int) -> int:
    return 9 * before * after + after


def test_a_layer_computed_by_hand() -> None:
    """H = relu(2x - 1), T = sigmoid(x - 2) where only the middle taps are set."""
    layer = HighwayLayer(1, gate_bias=-2.0)
    for block, tap in ((layer.transform, 2.0), (layer.gate, 1.0)):
        block.get_parameter("0.weight").data = torch.tensor([[[[0.0, 0.0, 0.0], [0.0, tap, 0.0], [0.0, 0.0, 0.0]]]])
    layer.transform.get_parameter("0.bias").data.fill_(-1.0)
    open_gate = 1 / (1 + exp(-1))  # x = 3
    expected = [
        5 * open_gate + 3 * (1 - open_gate),
        0.5 * (1 - 1 / (1 + exp(1.5))),  # x = 0.5: H is 0
        -1 * (1 - 1 / (1 + exp(3))),  # x = -1: H is 0
        3 * 0.5 + 2 * 0.5,  # x = 2: the gate is half open
    ]
    result = layer(torch.tensor([[[[3.0, 0.5], [-1.0, 2.0]]]]))
    torch.testing.assert_close(result.flatten(), torch.tensor(expected))


def test_a_layer_is_the_papers_equation_3() -> None:
    torch.manual_seed(0)
    layer = HighwayLayer(4, gate_bias=-1.0)
    x = torch.randn(2, 4, 5, 6)
    weights = dict(layer.named_parameters())
    h = functional.conv2d(x, weights["transform.0.weight"], weights["transform.0.bias"], padding=1).relu()
    t = functional.conv2d(x, weights["gate.0.weight"], weights["gate.0.bias"], padding=1).sigmoid()
    torch.testing.assert_close(layer(x), h * t + x * (1 - t))


def test_a_closed_gate_carries_the_input_on_unchanged_and_an_open_one_replaces_it() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 6)
    assert torch.equal(HighwayLayer(4, gate_bias=-100.0)(x), x)
    open_layer = HighwayLayer(4, gate_bias=100.0)
    torch.testing.assert_close(open_layer(x), open_layer.transform(x))


def test_the_gradient_of_a_closed_layer_is_the_identity() -> None:
    """Equation 5 of the paper: why a deep network can be trained."""
    torch.manual_seed(0)
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    layers = nn.Sequential(*(HighwayLayer(3, gate_bias=-100.0) for _ in range(50)))
    gradient = torch.randn(1, 3, 4, 4)
    layers(x).backward(gradient)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, gradient)


@pytest.mark.parametrize(("name", "gate_bias"), [("highway19", -2.0), ("highway32", -3.0)])
def test_gates_start_with_the_bias_the_paper_suggests_for_the_depth(name: str, gate_bias: float) -> None:
    backbone = BACKBONES.get(name).build(3)
    layers = [layer for layer in backbone.modules() if isinstance(layer, HighwayLayer)]
    assert len(layers) == int(name[-2:]) - 5  # but for three plain layers and the head's two
    for layer in layers:
        bias = layer.gate.get_parameter("0.bias")
        assert torch.equal(bias, torch.full_like(bias, gate_bias))
        assert not layer.transform.get_parameter("0.bias").any()


def test_layers_and_parameters_of_the_authors_release_counted_by_hand() -> None:
    """19 layers: 5 of 32 channels, 6 of 80, 6 of 128, each stage beginning with a plain one; 1 x 1 to 100; linear.

    The paper's table 1 says 2.3 million.
    """
    model = create_model("highway19", task="classify", num_classes=10)
    assert [len(stage) for stage in model.backbone.stages] == [5, 6, 6]  # type: ignore[union-attr, arg-type]
    first = plain_parameters(3, 32) + 4 * highway_parameters(32)
    second = plain_parameters(32, 80) + 5 * highway_parameters(80)
    third = plain_parameters(80, 128) + 5 * highway_parameters(128)
    head = (128 * 100 + 100) + (100 * 10 + 10)
    assert sum(p.numel() for p in model.parameters()) == first + second + third + head == 2_256_838


def test_parameters_of_32_layers_are_the_papers_1_25_million() -> None:
    model = create_model("highway32", task="classify", num_classes=10)
    stages = plain_parameters(3, 32) + plain_parameters(32, 48) + plain_parameters(48, 64)
    stages += 9 * (highway_parameters(32) + highway_parameters(48) + highway_parameters(64))
    head = (64 * 100 + 100) + (100 * 10 + 10)
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == stages + head == 1_255_270
    assert parameters == pytest.approx(1.25e6, rel=0.01)


@pytest.mark.parametrize(("depth", "layers"), [(5, [1, 1, 1]), (11, [3, 3, 3]), (20, [6, 6, 6]), (100, [32, 33, 33])])
def test_depth_counts_every_3_x_3_layer_and_the_two_of_the_head(depth: int, layers: list[int]) -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get("highway19").build(3, depth=depth)
    stages = [backbone.get_submodule(f"stages.{stage}") for stage in range(3)]
    assert [len(list(stage.children())) for stage in stages] == layers
    assert sum(layers) + 2 == depth


def test_maps_are_taken_in_front_of_the_pools_whose_indices_lead_back() -> None:
    backbone = BACKBONES.get("highway19").build(3, depth=8).eval()
    with torch.no_grad():
        features = backbone(random_images(1, (13, 18)))
    assert [tuple(map_.shape[1:]) for map_ in features.maps] == [(32, 13, 18), (80, 6, 9), (128, 3, 4)]
    for map_, pool in zip(features.maps, features.pools, strict=False):
        assert pool.channels == map_.shape[1]
        assert pool.size == tuple(map_.shape[2:])
        maxima = map_.flatten(2).gather(2, pool.indices.flatten(2)).view_as(pool.indices)
        assert torch.equal(maxima, functional.max_pool2d(map_, 2))


def test_dropout_reaches_the_image_the_pools_and_the_classifier_in_training_only() -> None:
    torch.manual_seed(0)
    model = create_model("highway19", task="classify", num_classes=10, backbone_options={"depth": 5, "dropout": 0.5})
    zeros: list[float] = []
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(
                lambda _, inputs, output: zeros.append((output == 0)[inputs[0] != 0].sum().item())
            )
    model(random_images())
    assert len(zeros) == 4
    assert all(zeros)
    zeros.clear()
    model.eval()(random_images())
    assert zeros == [0, 0, 0, 0]


def test_an_open_start_is_refused() -> None:
    with pytest.raises(UsageError, match=r"option gate_bias=1\.0 is not allowed"):
        create_model("highway19", num_classes=2, backbone_options={"gate_bias": 1.0})
