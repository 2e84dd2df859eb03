"""Network in network: parameters by hand, an mlpconv layer as the perceptron it is named after, the pools."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from segkit.models.backbones._base import BACKBONES
from segkit.models.backbones.nin import mlpconv
from segkit.models.factory import create_model


def random_images(count: int, size: tuple[int, int]) -> torch.Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))


def test_parameters_of_every_layer_counted_by_hand() -> None:
    model = create_model("nin", task="classify", num_classes=10)
    counts = [
        layer.weight.numel() + (0 if layer.bias is None else layer.bias.numel())
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert counts == [
        (3 * 25 + 1) * 192,
        (192 + 1) * 160,
        (160 + 1) * 96,
        (96 * 25 + 1) * 192,
        (192 + 1) * 192,
        (192 + 1) * 192,
        (192 * 9 + 1) * 192,
        (192 + 1) * 192,
        (192 + 1) * 10,
    ]
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(counts) == 966_986


def test_an_mlpconv_layer_is_one_perceptron_on_every_window() -> None:
    """Section 3.1: f1 = max(w1 x + b1, 0), f2 = max(w2 f1 + b2, 0), ... with x the pixels of the window."""
    torch.manual_seed(0)
    layer = mlpconv(2, 3, 5, 4, 3)
    x = torch.randn(1, 2, 6, 7)
    windows = functional.unfold(x, 3, padding=1).transpose(1, 2)
    values = windows
    for block in layer:
        weight, bias = block.get_parameter("0.weight").flatten(1), block.get_parameter("0.bias")
        values = torch.relu(values @ weight.T + bias)
    torch.testing.assert_close(layer(x).flatten(2).transpose(1, 2), values)


def test_images_of_cifar_give_maps_of_32_16_and_8_pixels_through_overlapping_pools() -> None:
    torch.manual_seed(0)
    backbone = BACKBONES.get("nin").build(3).eval()
    with torch.no_grad():
        maps = backbone(random_images(1, (32, 32))).maps
        # Windows of 3 that begin at 0, 2, ... 30; the last holds two pixels only.
        padded = functional.pad(maps[0], (0, 1, 0, 1), value=float("-inf"))
        pooled = padded.unfold(2, 3, 2).unfold(3, 3, 2).amax(dim=(4, 5))
        torch.testing.assert_close(maps[1], backbone.get_submodule("layers.1")(pooled))
    assert [tuple(map_.shape[1:]) for map_ in maps] == [(96, 32, 32), (192, 16, 16), (192, 8, 8)]


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (31, 33), (97, 131)])
def test_maps_are_within_a_pixel_of_their_stride(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get("nin").build(3)
    maps = backbone(torch.zeros(1, 3, *size, device="meta")).maps
    for spec, map_ in zip(backbone.specs, maps, strict=True):
        assert all(abs(have - side / spec.stride) <= 1 for have, side in zip(map_.shape[2:], size, strict=True))


def test_logits_are_the_averages_of_one_map_per_class() -> None:
    torch.manual_seed(0)
    model = create_model("nin", task="classify", num_classes=5).eval()
    images = random_images(2, (32, 40))
    with torch.no_grad():
        convolution = model.get_submodule("heads.classify.class_maps.0")
        class_maps = torch.relu(convolution(model.backbone(images).maps[-1]))
        logits = model(images)["classify"]
    assert class_maps.shape == (2, 5, 8, 10)
    torch.testing.assert_close(logits, class_maps.sum(dim=(2, 3)) / 80)
    assert logits.std() > 0


def test_dropout_follows_both_pools_and_nothing_else() -> None:
    torch.manual_seed(0)
    backbone = BACKBONES.get("nin").build(3)
    dropped: list[float] = []

    def record(_: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        dropped.append((output == 0)[inputs[0] != 0].float().mean().item())

    for layer in backbone.modules():
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(record)
    backbone(random_images(2, (32, 32)))
    assert dropped == pytest.approx([0.5, 0.5], abs=0.02)
    dropped.clear()
    backbone.eval()(random_images(1, (32, 32)))
    assert dropped == [0, 0]
