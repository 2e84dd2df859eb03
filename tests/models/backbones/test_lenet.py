"""LeNet-5 against the tables and formulae of LeCun et al. 1998, and the modern one against plain torch."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones._lenet_codes import CODE_HEIGHT, CODE_WIDTH, digit_codes
from segkit.models.backbones.lenet import (
    CONNECTED_MAPS,
    RadialBasisOutput,
    ScaledTanh,
    Subsampling,
    TableConvolution,
    build_lenet,
    build_lenet5,
)
from segkit.models.factory import create_model
from segkit.models.model import Model

# Table I: rows are the maps of S2, columns those of C3.
TABLE_I = """
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X
"""
PARAMETERS = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164}
CONNECTIONS = {"c1": 122304, "s2": 5880, "c3": 151600, "s4": 2000, "c5": 48120, "f6": 10164}


def classifier(name: str, **options: str) -> Model:
    torch.manual_seed(0)
    return create_model(name, task="classify", num_classes=10, in_channels=1, backbone_options=options).eval()


def named_layers(model: Model) -> dict[str, nn.Module]:
    backbone, head = model.backbone, model.heads["classify"]
    return {name: getattr(backbone if hasattr(backbone, name) else head, name) for name in PARAMETERS}


def weights_per_unit(layer: nn.Module) -> float:
    """Inputs of a unit and its bias, on average over the maps."""
    if isinstance(layer, Subsampling):
        return 4 + 1
    if isinstance(layer, TableConvolution):
        return layer.weight.numel() / len(layer.bias) + 1
    assert isinstance(layer, nn.Conv2d)
    return layer.weight[0].numel() + 1


def test_parameters_and_connections_of_every_layer_are_the_papers() -> None:
    model = classifier("lenet5")
    connections: dict[str, float] = {}

    def count(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(layer: nn.Module, _: tuple[Tensor], units: Tensor) -> None:
            connections[name] = units.numel() * weights_per_unit(layer)

        return hook

    layers = named_layers(model)
    for name, layer in layers.items():
        layer.register_forward_hook(count(name))
    model(torch.zeros(1, 1, 32, 32))
    assert {name: sum(p.numel() for p in layer.parameters()) for name, layer in layers.items()} == PARAMETERS
    assert {name: round(number, 6) for name, number in connections.items()} == CONNECTIONS


def test_c3_is_connected_as_table_1_says() -> None:
    rows = [line.split() for line in TABLE_I.split("\n") if line]
    assert tuple(tuple(i for i, row in enumerate(rows) if row[o] == "X") for o in range(16)) == CONNECTED_MAPS
    assert sum(map(len, CONNECTED_MAPS)) == 60


def test_c3_convolves_only_the_maps_of_its_table() -> None:
    layer = build_lenet5(1, padded=False).c3
    x = torch.randn(2, 6, 9, 8, requires_grad=True)
    parts = layer.weight.split([len(inputs) for inputs in CONNECTED_MAPS])
    expected = [
        functional.conv2d(x[:, list(inputs)], filters[None], layer.bias[o : o + 1])
        for o, (inputs, filters) in enumerate(zip(CONNECTED_MAPS, parts, strict=True))
    ]
    torch.testing.assert_close(layer(x), torch.cat(expected, dim=1))
    layer(x)[:, 3].sum().backward()  # map 3 sees the maps 3, 4 and 5
    assert x.grad is not None
    assert x.grad.abs().sum(dim=(0, 2, 3)).gt(0).tolist() == [False, False, False, True, True, True]


def test_subsampling_adds_four_pixels_then_scales_and_shifts() -> None:
    layer = Subsampling(2)
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([0.5, -1.0]))
        layer.bias.copy_(torch.tensor([1.0, 2.0]))
    x = torch.arange(12.0).reshape(1, 1, 3, 4).expand(1, 2, 3, 4)
    # 0 + 1 + 4 + 5 = 10 and 2 + 3 + 6 + 7 = 18; the third row is dropped.
    assert layer(x).tolist() == [[[[6.0, 10.0]], [[-8.0, -16.0]]]]


def test_the_squashing_function_is_scaled_as_appendix_a_asks() -> None:
    x = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
    y = ScaledTanh()(x)
    assert y.tolist() == pytest.approx([-1.0, 0.0, 1.0], abs=1e-4)
    gradient = torch.autograd.grad(y.sum(), x)[0]
    assert gradient[1].item() == pytest.approx(1.7159 * 2 / 3)


def test_initial_weights_are_uniform_within_2_4_over_the_fan_in() -> None:
    layers = named_layers(classifier("lenet5"))
    table = layers["c3"]
    assert isinstance(table, TableConvolution)
    parts = table.weight.split([len(inputs) for inputs in CONNECTED_MAPS])
    drawn = {
        25: layers["c1"].weight,
        4: torch.cat([layer for name in ("s2", "s4") for layer in layers[name].parameters()]),
        75: torch.cat(parts[:6]),
        100: torch.cat(parts[6:15]),
        150: parts[15],
        400: layers["c5"].weight,
        120: layers["f6"].weight,
    }
    for fan_in, weights in drawn.items():
        scaled = weights.detach().flatten() * fan_in / 2.4
        assert stats.kstest(scaled.numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.001, fan_in


def test_rbf_logits_are_the_negative_squared_distances_to_the_codes() -> None:
    layer = RadialBasisOutput(10)
    x = torch.randn(5, 84, 1, 1)
    distances = torch.cdist(x[..., 0, 0].double(), digit_codes().double()).square()
    torch.testing.assert_close(layer(x)[..., 0, 0], -distances.float())
    assert layer(digit_codes()[3][None, :, None, None])[0, 3].item() == 0.0


def test_cross_entropy_of_rbf_logits_is_the_papers_criterion() -> None:
    logits = RadialBasisOutput(10)(0.1 * torch.randn(1, 84, 1, 1))[..., 0, 0].double()
    penalties = -logits[0]
    expected = penalties[7].item() + log(sum(np.exp(-penalties.numpy())))
    assert functional.cross_entropy(logits, torch.tensor([7])).item() == pytest.approx(expected)


def test_a_network_learns_through_the_rbf() -> None:
    torch.manual_seed(0)
    model = create_model("lenet5", task="classify", num_classes=10, in_channels=1, backbone_options={"output": "rbf"})
    images, labels = torch.randn(10, 1, 32, 32), torch.arange(10)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(60):
        loss = functional.cross_entropy(model(images)["classify"], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model(images)["classify"].argmax(dim=1).tolist() == labels.tolist()
    assert torch.equal(model.state_dict()["heads.classify.output.codes"], digit_codes())


def test_the_rbf_has_codes_for_digits_only() -> None:
    few = create_model("lenet5", task="classify", num_classes=3, backbone_options={"output": "rbf"})
    assert few(torch.zeros(1, 3, 32, 32))["classify"].shape == (1, 3)
    with pytest.raises(UsageError, match=r"output=rbf has codes for the 10 digits, not for 11 classes.*output=linear"):
        create_model("lenet5", task="classify", num_classes=11, backbone_options={"output": "rbf"})


def test_the_digit_codes_are_upright_pictures_far_from_one_another() -> None:
    codes = digit_codes()
    pictures = codes.reshape(10, CODE_HEIGHT, CODE_WIDTH)
    assert codes.abs().unique().tolist() == [1.0]
    for symmetric in (0, 8):
        assert torch.equal(pictures[symmetric], pictures[symmetric].flip(1))
    assert torch.equal(pictures[0], pictures[0].flip(0))
    # 6 turned by 180 degrees is a 9.
    assert torch.equal(pictures[6], pictures[9].flip(0, 1))
    differing = (codes[:, None] != codes).sum(dim=2) + 84 * torch.eye(10)
    assert differing.min() >= 5


@pytest.mark.parametrize("name", ["lenet5", "lenet"])
def test_a_larger_image_gives_the_mean_of_the_logits_at_every_position(name: str) -> None:
    model = classifier(name)
    image = torch.randn(1, 1, 36, 40)
    with torch.inference_mode():
        parts = [
            model(image[..., top : top + 32, left : left + 32])["classify"] for top in (0, 4) for left in (0, 4, 8)
        ]
        torch.testing.assert_close(model(image)["classify"], torch.stack(parts).mean(dim=0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("build", [build_lenet5, build_lenet])
def test_padding_changes_the_sizes_and_no_weight(build: Callable[..., nn.Module]) -> None:
    padded, valid = build(1, padded=True), build(1, padded=False)
    valid.load_state_dict(padded.state_dict())
    image = torch.zeros(1, 1, 32, 32)
    assert [tuple(map_.shape[1:]) for map_ in valid(image).maps] == [(6, 28, 28), (16, 10, 10), (16, 5, 5)]
    assert [tuple(map_.shape[1:]) for map_ in padded(image).maps] == [(6, 32, 32), (16, 16, 16), (16, 8, 8)]


def test_the_modern_one_is_the_usual_stack_of_torch_layers() -> None:
    model = classifier("lenet")
    usual = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    state = usual.state_dict()
    weights = zip(state, model.state_dict().values(), strict=True)
    usual.load_state_dict({key: weight.reshape(state[key].shape) for key, weight in weights})
    images = torch.randn(3, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model(images)["classify"], usual(images))


def test_the_modern_one_offers_its_pools_for_unpooling() -> None:
    features = build_lenet(1)(torch.randn(1, 1, 13, 10))
    pooled = functional.max_pool2d(features.maps[1], 2)
    torch.testing.assert_close(pooled, features.maps[2])
    for pool, map_ in zip(features.pools, features.maps, strict=False):
        values = map_.flatten(2).gather(2, pool.indices.flatten(2)).unflatten(2, pool.indices.shape[2:])
        torch.testing.assert_close(values, functional.max_pool2d(map_, 2))
        assert pool.size == tuple(map_.shape[2:])


def test_what_only_the_classifier_has_is_refused_to_segment() -> None:
    with pytest.raises(UsageError, match=r"lenet5: option output=rbf has no effect: it is for --task classify"):
        create_model("lenet5", num_classes=2, backbone_options={"output": "rbf"})
    assert create_model("lenet5", num_classes=2).config.backbone_options == {"padded": True}


@pytest.mark.parametrize("name", ["lenet5", "lenet"])
def test_maps_keep_their_borders_to_segment(name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name}: option padded=False is for --task classify; .*; leave it out"):
        create_model(name, num_classes=2, backbone_options={"padded": False})
    classify = create_model(name, task="classify", num_classes=2, backbone_options={"padded": True})
    assert classify.config.backbone_options["padded"] is True
