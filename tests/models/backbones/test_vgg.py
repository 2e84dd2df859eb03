"""VGG against torchvision and the paper's table of parameters."""

from __future__ import annotations

from functools import cache
from math import prod

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones.vgg import VggBackbone, rename_torchvision
from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.layers.conv import ConvStyle
from segkit.models.model import Model

NAMES = tuple(f"vgg{depth}{end}" for depth in (11, 13, 16, 19) for end in ("", "_bn"))
NUM_CLASSES = 10
# torchvision's documentation; the paper's table 2 has 133, 133, 138 and 144 million.
PARAMETERS = {11: 132_863_336, 13: 133_047_848, 16: 138_357_544, 19: 143_667_240}
MAPS = {11: 2752, 13: 2944, 16: 4224, 19: 5504}


def vgg(name: str, num_classes: int = 1000, options: dict[str, Option] | None = None) -> Model:
    """The classifier on the meta device, where weights take no memory."""
    with torch.device("meta"):
        return create_model(name, task="classify", num_classes=num_classes, backbone_options=options)


@cache
def hidden_layers() -> dict[str, Tensor]:
    """Random weights of the fully connected layers: 480 MB, the same for all networks."""
    shapes = {"0": (4096, 25088), "3": (4096, 4096), "6": (NUM_CLASSES, 4096)}
    weights = {f"classifier.{layer}.weight": random_weight(shape) for layer, shape in shapes.items()}
    return weights | {f"classifier.{layer}.bias": torch.rand(shape[0]) - 0.5 for layer, shape in shapes.items()}


def random_weight(shape: tuple[int, ...]) -> Tensor:
    """Uniform, with the variance of He et al. 2015."""
    limit = (6 / prod(shape[1:])) ** 0.5
    return torch.empty(shape).uniform_(-limit, limit)


def random_state(network: nn.Module) -> dict[str, Tensor]:
    state = dict(hidden_layers())
    for key, tensor in network.state_dict().items():
        if key.startswith("classifier"):
            continue
        if tensor.dim() > 1:
            state[key] = random_weight(tuple(tensor.shape))
        elif tensor.dim() == 1:
            state[key] = torch.rand(tensor.shape) + (0.5 if key.endswith(("weight", "running_var")) else -0.5)
        else:
            state[key] = torch.tensor(1)
    return state


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_torchvisions(name: str) -> None:
    """Strict through the key map that loads published weights; in training mode with dropout 0."""
    torch.manual_seed(0)
    ours = vgg(name, NUM_CLASSES, {"dropout": 0.0})
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, num_classes=NUM_CLASSES, dropout=0.0)
    state = random_state(theirs)
    theirs.load_state_dict(state, strict=True, assign=True)
    ours.load_state_dict(rename_torchvision(state), strict=True, assign=True)
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        for training in (False, True) if name.endswith("_bn") else (False,):
            expected = theirs.train(training)(images)
            spread = float(expected.std())
            assert spread > 0.1, "logits that tell networks apart"
            given = ours.train(training)(images)["classify"]
            torch.testing.assert_close(given, expected, rtol=0, atol=1e-4 * spread)


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
    "options",
    [
        {"norm": "group", "weight_standardization": True},
        {"activation": "prelu"},
        {"activation": "maxout"},
        {"pool": "average"},
    ],
)
def test_parts_can_be_switched(options: dict[str, Option]) -> None:
    model = vgg("vgg11", 5, options)
    assert model(torch.zeros(2, 3, 224, 224, device="meta"))["classify"].shape == (2, 5)
    if "activation" in options:
        assert not any(isinstance(module, nn.ReLU) for module in model.modules())


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
