"""Parameters, connections and multiply-adds, against hand-computed and published values."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from segkit.models.complexity import Complexity, Layer, measure_complexity
from segkit.models.factory import create_model


def classifier(backbone: str, size: int, channels: int = 3, classes: int = 1000) -> Complexity:
    with torch.device("meta"):
        model = create_model(backbone, num_classes=classes, task="classify", in_channels=channels)
    return measure_complexity(model, channels, (size, size))


def test_lenet5_is_the_papers_table() -> None:
    layers = {layer.name.split(".")[-1]: layer for layer in classifier("lenet5", 32, 1, 10).layers}
    # LeCun et al. 1998, section II-B: trainable parameters and connections of C1, S2, C3, S4, C5 and F6.
    expected = {
        "c1": (156, 122_304),
        "s2": (12, 5_880),
        "c3": (1_516, 151_600),
        "s4": (32, 2_000),
        "c5": (48_120, 48_120),
        "f6": (10_164, 10_164),
    }
    assert {name: (layers[name].parameters, layers[name].connections) for name in expected} == expected
    assert [layers[name].output for name in ("c1", "s2", "c3", "s4", "c5")] == [
        (6, 28, 28),
        (6, 14, 14),
        (16, 10, 10),
        (16, 5, 5),
        (120, 1, 1),
    ]
    assert layers["c3"].multiply_adds == 60 * 25 * 100


def test_lenet5_has_the_papers_connections() -> None:
    with torch.device("meta"):
        model = create_model(
            "lenet5", num_classes=10, task="classify", in_channels=1, backbone_options={"output": "rbf"}
        )
    found = measure_complexity(model, 1, (32, 32))
    # The distances to the fixed codes of the output are no sums of products; the paper counts them too.
    assert (found.parameters, found.connections) == (60_000, 340_908 - 84 * 10)


@pytest.mark.parametrize(
    ("backbone", "size", "theirs"),
    [
        ("alexnet_tv", 224, torchvision.models.AlexNet_Weights.IMAGENET1K_V1),
        ("vgg16", 224, torchvision.models.VGG16_Weights.IMAGENET1K_V1),
        ("googlenet_tv", 224, torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1),
        ("inception_v3", 299, torchvision.models.Inception_V3_Weights.IMAGENET1K_V1),
        ("resnet18", 224, torchvision.models.ResNet18_Weights.IMAGENET1K_V1),
        ("resnet50_tv", 224, torchvision.models.ResNet50_Weights.IMAGENET1K_V1),
        ("densenet121", 224, torchvision.models.DenseNet121_Weights.IMAGENET1K_V1),
    ],
)
def test_torchvisions_published_multiply_adds(backbone: str, size: int, theirs: torchvision.models.WeightsEnum) -> None:
    found = classifier(backbone, size)
    assert found.multiply_adds / 1e9 == pytest.approx(theirs.meta["_ops"], abs=6e-4)
    without_side_classifiers = found.parameters - found.not_run
    assert theirs.meta["num_params"] in {found.parameters, without_side_classifiers}


# The figures courses print: AlexNet 0.72 G (both towers, 227 x 227), VGG-16 15.5 G, ResNet-50 3.8 G (He et al. 2015,
# table 1), GoogLeNet 1.5 G (Szegedy et al. 2014, section 5), DenseNet-121 2.87 G.
@pytest.mark.parametrize(
    ("backbone", "size", "printed"),
    [("alexnet_two_tower", 227, 0.72), ("vgg16", 224, 15.5), ("resnet50", 224, 3.8), ("googlenet", 224, 1.5)],
)
def test_papers_multiply_adds(backbone: str, size: int, printed: float) -> None:
    assert classifier(backbone, size).multiply_adds / 1e9 == pytest.approx(printed, rel=0.06)


class Everything(nn.Module):
    """One of each operation that costs something."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.activation = nn.ReLU(inplace=True)
        self.up = nn.ConvTranspose2d(6, 5, 2, stride=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.linear = nn.Linear(5 * 4 * 4, 7)
        self.unused = nn.Linear(3, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.up(self.activation(self.norm(self.grouped(images)))))
        return self.linear(functional.dropout(x, training=self.training).flatten(1))


def layers_of(network: nn.Module, channels: int, side: int) -> tuple[Complexity, dict[str, Layer]]:
    found = measure_complexity(network, channels, (side, side))
    return found, {layer.name: layer for layer in found.layers}


def test_every_number_by_hand() -> None:
    found, layers = layers_of(Everything(), 4, 8)
    grouped, up, pool, linear = (layers[name] for name in ("grouped", "up", "pool", "linear"))
    assert (grouped.output, grouped.kernel, grouped.stride, grouped.padding) == ((6, 4, 4), (3, 3), (2, 2), (1, 1))
    assert grouped.parameters == 6 * 2 * 9 + 6
    assert grouped.multiply_adds == 16 * 6 * 2 * 9
    assert grouped.connections == 16 * 6 * (2 * 9 + 1)
    assert up.multiply_adds == 16 * 6 * 5 * 4
    assert up.connections == 16 * 6 * 5 * 4 + 5 * 8 * 8
    assert (pool.multiply_adds, pool.connections) == (0, 5 * 16 * 9)
    assert (linear.multiply_adds, linear.connections) == (80 * 7, 81 * 7)
    assert linear.sees_whole_image
    assert layers["norm"].memory == 6 * 16 * 4
    assert layers["activation"].memory == 0
    assert found.not_run == 12
    assert found.parameters == 114 + 12 + (6 * 5 * 4 + 5) + 81 * 7 + 12
    assert found.memory == 4 * (6 * 16 + 6 * 16 + 5 * 64 + 5 * 16 + 7)


def test_a_module_that_runs_twice_has_its_parameters_once() -> None:
    convolution = nn.Conv2d(2, 2, 3, padding=1)
    found = measure_complexity(nn.Sequential(convolution, nn.ReLU(), convolution), 2, (5, 5))
    assert [layer.parameters for layer in found.layers] == [38, 0, 0]
    assert [layer.multiply_adds for layer in found.layers] == [900, 0, 900]


def test_attention_counts_products_and_sees_everything() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            mixed = functional.scaled_dot_product_attention(tokens, tokens, tokens)
            return mixed.transpose(1, 2).unflatten(2, x.shape[2:])

    found = measure_complexity(nn.Sequential(Attention()), 8, (4, 4))
    assert found.multiply_adds == 2 * 16 * 16 * 8
    assert found.layers[-1].sees_whole_image


def test_parameters_beside_the_layers_are_not_idle() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))
            self.linear = nn.Linear(3, 3)
            self.idle = nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * self.linear(x.mean(dim=(2, 3)))

    found = measure_complexity(Scaled(), 3, (4, 4))
    assert (found.parameters, found.not_run) == (3 + 12 + 4, 4)


def partly_frozen(device: str) -> nn.Sequential:
    """A network that trains but for its normalization; images of 4 x 4 pixels and more pass it."""
    with torch.device(device):
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()), nn.AvgPool2d(2))
    network[1].eval()
    return network


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("side", [9, 2])
def test_the_network_is_left_as_it_was(device: str, side: int) -> None:
    """Images of 2 x 2 are too small for it: it is left as it was also where it fails."""
    network = partly_frozen(device)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with nullcontext() if side == 9 else pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        measure_complexity(network, 1, (side, side))
    assert [module.training for module in network.modules()] == [True, True, False, False, False, True]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    for key, tensor in network.state_dict().items():
        assert tensor.device.type == device
        assert device == "meta" or torch.equal(tensor, before[key])


def test_functional_operations_have_lines_of_their_own() -> None:
    class Functional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            pooled = functional.max_pool2d(x, 2)
            return torch.cat([functional.interpolate(pooled, scale_factor=2.0), x], dim=1)

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Functional()
            self.convolution = nn.Conv2d(4, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            pooled = functional.avg_pool2d(self.convolution(self.inner(x)), 3)
            return pooled + pooled.mean(dim=(2, 3), keepdim=True)

    kinds = [(layer.name, layer.kind, layer.output) for layer in measure_complexity(Outer(), 2, (6, 6)).layers]
    assert kinds == [
        ("inner", "Functional", (4, 6, 6)),
        ("convolution", "Conv2d", (1, 6, 6)),
        ("", "pool", (1, 2, 2)),
        ("", "pool", (1, 1, 1)),
        ("", "add", (1, 2, 2)),
    ]


def test_json_holds_the_sums() -> None:
    plain = classifier("lenet5", 32, 1, 10).to_dict()
    assert plain["totals"]["parameters"] == 60_000 + 850
    assert plain["totals"]["connections"] == sum(layer["connections"] for layer in plain["layers"])
    assert math.prod(plain["size"]) == 1024
