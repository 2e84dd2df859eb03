"""AlexNet: sizes, parameters and functions of the paper; torchvision's network."""

from __future__ import annotations

from math import ceil

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones import alexnet
from segkit.models.backbones._base import BACKBONES
from segkit.models.factory import create_model
from segkit.models.heads.fully_connected import FullyConnectedHead
from segkit.models.model import Model
from segkit.models.weights import load_weights
from tests.models.backbones.sensitive import (
    assert_equal_to_torchvision,
    depends_on_images,
    randomize,
    torchvision_network,
)

NAMES = ("alexnet", "alexnet_two_tower", "alexnet_tv")


def classifier(name: str, num_classes: int = 1000, in_channels: int = 3) -> Model:
    return create_model(name, task="classify", num_classes=num_classes, in_channels=in_channels)


def counts(model: Model) -> list[int]:
    """Parameters of every convolution, those of the classifier included."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    return [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]


def random_images(side: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "convolutions", "total"),
    [
        # 96 * 11*11*3 + 96, 256 * 5*5*96 + 256, 384 * 3*3*256 + 384, 384 * 3*3*384 + 384, 256 * 3*3*384 + 256
        ("alexnet", [34_944, 614_656, 885_120, 1_327_488, 884_992], 62_378_344),
        # Half of the inputs in the second, fourth and fifth: 48, 192 and 192.
        ("alexnet_two_tower", [34_944, 307_456, 885_120, 663_936, 442_624], 60_965_224),
        ("alexnet_tv", [23_296, 307_392, 663_936, 884_992, 590_080], 61_100_840),
    ],
)
def test_parameters_by_hand(name: str, convolutions: list[int], total: int) -> None:
    with torch.device("meta"):
        given = counts(classifier(name))
    hidden_and_logits = [4096 * 6 * 6 * 256 + 4096, 4096 * 4096 + 4096, 1000 * 4096 + 1000]
    assert given == [*convolutions, *hidden_and_logits]
    assert sum(given) == total


@pytest.mark.parametrize("name", ["alexnet", "alexnet_two_tower"])
def test_maps_have_the_papers_sizes_at_227(name: str) -> None:
    with torch.device("meta"):
        maps = BACKBONES.get(name).build(3, padded=False)(torch.zeros(1, 3, 227, 227)).maps
    assert [tuple(map_.shape[1:]) for map_ in maps] == [(96, 55, 55), (256, 27, 27), (256, 13, 13), (256, 6, 6)]
    # Neurons of the layers in figure 2, but the first: its 253,440 are 48 * 55 * 96, not 55 * 55 * 96.
    assert [map_[0].numel() for map_ in maps[1:3]] == [186_624, 43_264]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(32, 64), (1, 31), (33, 97), (131, 227)])
def test_padded_maps_have_the_sides_of_the_image_by_the_stride_rounded_up(name: str, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get(name).build(1)
        maps = backbone(torch.zeros(1, 1, *size)).maps
    strides = [spec.stride for spec in backbone.specs]
    assert strides == [4, 8, 16, 32]
    expected = [(ceil(size[0] / stride), ceil(size[1] / stride)) for stride in strides]
    assert [tuple(map_.shape[2:]) for map_ in maps] == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_task_decides_whether_it_is_padded(name: str) -> None:
    with torch.device("meta"):
        assert classifier(name).config.backbone_options["padded"] is False
        assert create_model(name, num_classes=2).config.backbone_options["padded"] is True


def paper_maps(x: Tensor, weights: list[tuple[Tensor, Tensor]], towers: int) -> list[Tensor]:
    """Section 3.5: convolution, ReLU, normalization, pool; each tower of a layer computed by itself."""

    def convolve(x: Tensor, layer: int, stride: int, padding: int, towers: int) -> Tensor:
        weight, bias = weights[layer]
        parts = zip(x.chunk(towers, 1), weight.chunk(towers), bias.chunk(towers), strict=True)
        return torch.cat([functional.conv2d(x, w, b, stride, padding) for x, w, b in parts], 1).relu()

    def normalize(x: Tensor) -> Tensor:
        # torch divides alpha by the 5 channels.
        return functional.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2)

    first = normalize(convolve(x, 0, 4, 0, 1))
    second = normalize(convolve(functional.max_pool2d(first, 3, 2), 1, 1, 2, towers))
    x = convolve(functional.max_pool2d(second, 3, 2), 2, 1, 1, 1)
    third = convolve(convolve(x, 3, 1, 1, towers), 4, 1, 1, towers)
    return [first, second, third, functional.max_pool2d(third, 3, 2)]


@pytest.mark.parametrize(("name", "towers"), [("alexnet", 1), ("alexnet_two_tower", 2)])
def test_maps_are_those_of_the_layers_written_out(name: str, towers: int) -> None:
    torch.manual_seed(0)
    backbone = BACKBONES.get(name).build(3, padded=False)
    images = 30 * random_images(107)  # large values, so that the normalization changes much
    randomize(backbone, images)
    layers = [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    weights = [(layer.weight, layer.bias) for layer in layers if layer.bias is not None]
    with torch.inference_mode():
        for given, expected in zip(backbone(images).maps, paper_maps(images, weights, towers), strict=True):
            assert depends_on_images(expected)
            torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["alexnet", "alexnet_two_tower"])
def test_initial_weights_are_the_papers(name: str) -> None:
    torch.manual_seed(0)
    backbone = BACKBONES.get(name).build(3)
    head = backbone.create_classifier(10)
    layers = [layer for part in (backbone, head) for layer in part.modules() if isinstance(layer, nn.Conv2d)]
    for layer in layers:
        deviation, mean = torch.std_mean(layer.weight.detach())
        assert float(mean) == pytest.approx(0, abs=3e-4)
        assert float(deviation) == pytest.approx(0.01, rel=0.02)
    biases = [layer.bias.unique().tolist() for layer in layers if layer.bias is not None]
    assert biases == [[0], [1], [0], [1], [1], [1], [1], [0]]


def test_dropout_of_one_half_follows_the_two_hidden_layers() -> None:
    with torch.device("meta"):
        head = classifier("alexnet").heads["classify"]
    assert isinstance(head, FullyConnectedHead)
    assert [type(layer) for layer in head.layers] == [*[nn.Conv2d, nn.ReLU, nn.Dropout] * 2, nn.Conv2d]
    assert [layer.p for layer in head.layers if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_logits_are_torchvisions_in_evaluation_and_without_dropout_in_training() -> None:
    images = random_images(224)
    theirs = torchvision_network("alexnet", images, num_classes=10, dropout=0)
    ours = classifier("alexnet_tv", num_classes=10)
    for layer in ours.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0
    assert_equal_to_torchvision(ours, theirs, alexnet.rename_torchvision, images)


def test_imagenet_weights_are_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(224)
    published = torchvision.models.alexnet(num_classes=10)
    randomize(published, images)
    asked: list[str] = []

    def fetch(weights: str) -> dict[str, Tensor]:
        asked.append(weights)
        return dict(published.state_dict())

    monkeypatch.setattr(alexnet, "fetch_state", fetch)
    model = classifier("alexnet_tv", num_classes=10)
    report = load_weights(model, "imagenet")
    assert asked == ["AlexNet_Weights.IMAGENET1K_V1"]
    torchvision.models.get_weight(asked[0])  # raises for a name it does not have
    assert (report.new, report.unused) == ((), ())
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(images)["classify"], published.eval()(images), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["alexnet", "alexnet_two_tower"])
def test_imagenet_weights_for_the_papers_network_name_the_variant_that_has_them(name: str) -> None:
    with torch.device("meta"):
        model = classifier(name)
    with pytest.raises(UsageError, match="Published weights are for backbone alexnet_tv, which departs from the paper"):
        load_weights(model, "imagenet")


def test_an_exported_classifier_is_right_at_sizes_it_was_not_traced_with() -> None:
    model = classifier("alexnet", num_classes=3)
    randomize(model, random_images(227))
    model.eval()
    # torch.export keeps apart what has one position, an image of 227, and what has several.
    dynamic = ({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    graph = torch.export.export(model, (random_images(291),), dynamic_shapes=dynamic).module()
    with torch.inference_mode():
        for side in (260, 355):
            images = random_images(side)
            expected = model(images)["classify"]
            assert depends_on_images(expected)
            torch.testing.assert_close(graph(images)["classify"], expected, rtol=0, atol=1e-4)
