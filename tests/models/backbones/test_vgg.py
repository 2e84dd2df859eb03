"""VGG against torchvision and the paper's table of parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones.vgg import VggBackbone, rename_torchvision
from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.layers.activation import Maxout
from segkit.models.layers.conv import ConvStyle, StandardizedConv2d
from segkit.models.model import Model
from tests.models.backbones.sensitive import depends_on_images, randomize

NAMES = tuple(f"vgg{depth}{end}" for depth in (11, 13, 16, 19) for end in ("", "_bn"))
NUM_CLASSES = 10
# torchvision's documentation; the paper's table 2 has 133, 133, 138 and 144 million.
PARAMETERS = {11: 132_863_336, 13: 133_047_848, 16: 138_357_544, 19: 143_667_240}
MAPS = {11: 2752, 13: 2944, 16: 4224, 19: 5504}


def vgg(name: str, num_classes: int = 1000, options: dict[str, Option] | None = None) -> Model:
    """The classifier on the meta device, where weights take no memory."""
    with torch.device("meta"):
        return create_model(name, task="classify", num_classes=num_classes, backbone_options=options)


def random_images(height: int, width: int) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def torchvisions(name: str) -> Any:
    """Torchvision's network on the meta device."""
    with torch.device("meta"):
        return torchvision.models.get_model(name, num_classes=NUM_CLASSES, dropout=0.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_map_equals_torchvisions_in_evaluation_and_training(name: str) -> None:
    """Strict through the key map that loads published weights; the fully connected layers stay without values."""
    images = random_images(64, 96)
    theirs = torchvisions(name)
    randomize(theirs.features.to_empty(device="cpu"), images)
    ours = vgg(name, NUM_CLASSES)
    state = {key: tensor.clone() for key, tensor in rename_torchvision(theirs.state_dict()).items()}
    ours.load_state_dict(state, strict=True, assign=True)
    with torch.inference_mode():
        for training in (False, True):
            expected = theirs.features.train(training)(images)
            assert depends_on_images(expected)
            given = ours.backbone.train(training)(images).maps[-1]
            torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)
    # A pass in training moved the running estimates, of both alike.
    for key, tensor in rename_torchvision(theirs.state_dict()).items():
        if key.startswith("backbone"):
            torch.testing.assert_close(ours.state_dict()[key], tensor, rtol=1e-4, atol=1e-4)


def test_logits_equal_torchvisions_in_evaluation_and_without_dropout_in_training() -> None:
    """Of one network: the fully connected layers, 480 MB, are the same for all."""
    images = random_images(224, 224)
    theirs = torchvisions("vgg11").to_empty(device="cpu")
    randomize(theirs, images)
    ours = vgg("vgg11", NUM_CLASSES, {"dropout": 0.0})
    ours.load_state_dict(rename_torchvision(theirs.state_dict()), strict=True, assign=True)
    with torch.inference_mode():
        for training in (False, True):
            expected = theirs.train(training)(images)
            assert depends_on_images(expected)
            given = ours.train(training)(images)["classify"]
            torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)


def test_training_without_dropout_is_prediction_where_nothing_is_normalized() -> None:
    model = vgg("vgg16", options={"dropout": 0.0})
    kinds = {type(m) for m in model.modules() if not isinstance(m, nn.Sequential) and not list(m.children())}
    assert kinds <= {nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Identity, nn.Dropout, nn.PixelUnshuffle}
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == [0.0, 0.0]


@pytest.mark.parametrize("depth", PARAMETERS)
def test_parameters_are_the_papers(depth: int) -> None:
    plain, normalized = (
        sum(parameter.numel() for parameter in vgg(f"vgg{depth}{end}").parameters()) for end in ("", "_bn")
    )
    assert plain == PARAMETERS[depth]
    # Scale and shift for each map in place of the bias; torchvision keeps the bias, which has no effect.
    assert normalized == PARAMETERS[depth] + MAPS[depth]


def test_layers_of_configuration_d_counted_by_hand() -> None:
    """Table 1, column D: 13 convolutions and 3 fully connected layers."""
    convolutions = [module for module in vgg("vgg16").modules() if isinstance(module, nn.Conv2d)]
    channels = [64, 64, 128, 128, *[256] * 3, *[512] * 6, 4096, 4096, 1000]
    assert [layer.out_channels for layer in convolutions] == channels
    assert [layer.kernel_size[0] for layer in convolutions] == [3] * 13 + [7, 1, 1]


def test_maps_in_front_of_the_pools_and_the_last_one_behind() -> None:
    backbone = vgg("vgg11").backbone
    expected = [(64, 1), (128, 2), (256, 4), (512, 8), (512, 16), (512, 32)]
    assert [(spec.channels, spec.stride) for spec in backbone.specs] == expected
    assert backbone.capabilities == {"pool_indices"}
    features = backbone(torch.zeros(1, 3, 96, 64, device="meta"))
    assert [tuple(found.shape[1:]) for found in features.maps] == [(c, 96 // s, 64 // s) for c, s in expected]
    assert [(pool.channels, pool.size[0]) for pool in features.pools] == [(c, 96 // s) for c, s in expected[:-1]]


def test_maps_behind_the_pools_are_the_input_of_the_next_level() -> None:
    torch.manual_seed(0)
    front = build(11, pooled_maps=False)
    behind = build(11, pooled_maps=True)
    behind.load_state_dict(front.state_dict())
    assert behind.capabilities == frozenset()
    expected = [(64, 2), (128, 4), (256, 8), (512, 16), (512, 32)]
    assert [(spec.channels, spec.stride) for spec in behind.specs] == expected
    images = torch.randn(1, 3, 70, 66)
    with torch.inference_mode():
        features, pooled = front(images), behind(images)
    assert pooled.pools == ()
    for given, before in zip(pooled.maps, features.maps[:-1], strict=True):
        assert torch.equal(given, functional.max_pool2d(before, 2))


def build(depth: int, pooled_maps: bool) -> VggBackbone:
    return VggBackbone(3, depth, ConvStyle("none"), "max", 0.5, pooled_maps)


def test_unpooling_over_maps_behind_the_pools_is_refused() -> None:
    with pytest.raises(UsageError, match="decoder unet needs pool_indices, which backbone vgg11 lacks"):
        create_model("vgg11", num_classes=2, upsample="max_unpool", backbone_options={"pooled_maps": True})


@pytest.mark.parametrize(
    ("options", "replaced", "left", "by", "count"),
    [
        ({"norm": "group"}, nn.BatchNorm2d, 0, nn.GroupNorm, 8),
        # Those of the classifier stay.
        ({"weight_standardization": True}, nn.Conv2d, 3, StandardizedConv2d, 8),
        ({"activation": "prelu"}, nn.ReLU, 0, nn.PReLU, 10),
        ({"activation": "maxout"}, nn.ReLU, 0, Maxout, 10),
        ({"pool": "average"}, nn.MaxPool2d, 0, nn.AvgPool2d, 1),
    ],
)
def test_parts_can_be_switched(
    options: dict[str, Option], replaced: type[nn.Module], left: int, by: type[nn.Module], count: int
) -> None:
    model = vgg("vgg11_bn", 5, options)
    kinds = [type(module) for module in model.modules()]
    assert (kinds.count(replaced), kinds.count(by)) == (left, count)
    assert [type(module) for module in vgg("vgg11_bn", 5).modules()].count(replaced) == left + count
    assert model(torch.zeros(2, 3, 224, 224, device="meta"))["classify"].shape == (2, 5)


def test_every_layer_starts_with_the_variance_that_keeps_the_signal() -> None:
    """He et al. 2015: activations keep their size through all 16 layers; the logits start small."""
    torch.manual_seed(0)
    backbone = build(16, pooled_maps=False)
    with torch.inference_mode():
        maps = backbone(torch.randn(1, 3, 64, 64)).maps
    # A max pool raises the mean square, about twofold; without the start it would fall by half in each of 13 layers.
    assert all(0.3 < float(found.square().mean().sqrt()) < 20 for found in maps)


@pytest.mark.parametrize(("options", "variant"), [({}, "VGG11_Weights"), ({"norm": "batch"}, "VGG11_BN_Weights")])
def test_published_weights_are_those_of_the_normalization(
    options: dict[str, Option], variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(weights: str) -> dict[str, Tensor]:
        asked.append(weights)
        with torch.device("meta"):
            network = torchvision.models.get_model(weights.partition("_Weights")[0].lower())
        return dict(network.state_dict())

    monkeypatch.setattr("segkit.models.backbones.vgg.fetch_state", fetch)
    model = vgg("vgg11", options=options)
    fetched = model.backbone.fetch_weights("imagenet")
    assert asked == [f"{variant}.IMAGENET1K_V1"]
    torchvision.models.get_weight(asked[0])  # raises for a name it does not have
    ours = model.state_dict()
    assert {key: tensor.shape for key, tensor in fetched.items()} == {key: tensor.shape for key, tensor in ours.items()}
