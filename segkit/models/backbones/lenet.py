"""LeNet-5 as its paper has it, and with the parts of later years."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.backbones._lenet_codes import digit_codes
from segkit.models.features import Features, FeatureSpec, Pool
from segkit.models.heads.classify import ClassifyHead
from segkit.models.heads.fully_connected import FullyConnectedHead
from segkit.models.layers.initialization import initialize, initialize_head

IMAGE_SIZE = 32
"""Height and width of the paper's images. Its digits are 20 x 20 at the most: the end of a stroke can then lie in the
centre of a receptive field of C3 (section II-B)."""

SPECS = (FeatureSpec(6, 1), FeatureSpec(16, 2), FeatureSpec(16, 4))

CONNECTED_MAPS = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)
"""The maps of S2 that each map of C3 sees (LeCun et al. 1998, table I)."""

OutputName = Literal["linear", "rbf"]


class ScaledTanh(nn.Module):
    """The squashing function A tanh(S a) with A = 1.7159 and S = 2/3 (equation 6 and appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        """Squash `x`, elementwise."""
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """The sum of every 2 x 2 pixels times a trainable coefficient plus a trainable bias, both one per map.

    An odd last row or column is dropped.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to maps (N, C, H // 2, W // 2)."""
        sums = 4 * functional.avg_pool2d(x, 2)  # exactly so; exporters overlook divisor_override
        return sums * self.coefficient[:, None, None] + self.bias[:, None, None]


class TableConvolution(nn.Module):
    """A convolution whose output maps each see some of the input maps; no other pair has weights.

    Args:
        table: the input maps of every output map.
        in_channels: number of input maps.
        kernel_size: height and width of the filters.
        padding: rows and columns of zeros on each side.
    """

    positions: Tensor

    def __init__(self, table: Sequence[Sequence[int]], in_channels: int, kernel_size: int, padding: int) -> None:
        super().__init__()
        self.table = table
        self.padding = padding
        self.dense_shape = (len(table), in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(sum(map(len, table)), kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(len(table)))
        # Which filter stands at every pair (output, input); the one behind the last is zero.
        filters = iter(range(len(self.weight)))
        rows = [[next(filters) if i in inputs else len(self.weight) for i in range(in_channels)] for inputs in table]
        self.register_buffer("positions", torch.tensor(rows).flatten(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve maps (N, in_channels, H, W)."""
        filters = functional.pad(self.weight, (0, 0, 0, 0, 0, 1))
        dense = filters.index_select(0, self.positions).view(self.dense_shape)
        return functional.conv2d(x, dense, self.bias, padding=self.padding)


class RadialBasisOutput(nn.Module):
    """Logits that fall with the squared distance to a fixed code of each class: -sum_j (x_j - w_ij)^2, equation 7.

    Class i stands for the digit i. With cross-entropy the loss is the paper's discriminative criterion (equation 9)
    without its constant term for rubbish: the distance to the right code plus log sum_i exp(-distance to code i).
    """

    codes: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        codes = digit_codes()
        if num_classes > len(codes):
            raise UsageError(
                f"backbone lenet5: output=rbf has codes for the {len(codes)} digits, not for {num_classes} classes; "
                "use output=linear"
            )
        self.register_buffer("codes", codes[:num_classes])  # saved: trained weights mean nothing without them

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 84, h, w) to logits (N, num_classes, h, w)."""
        # Distances near 100 that differ by less than 1 decide: a convolution in bfloat16 would round that away.
        return (x.float().unsqueeze(1) - self.codes[:, :, None, None]).square().sum(dim=2).neg()


class LeNet5Head(ClassifyHead):
    """C5, F6 and the output. C5 is a convolution, so larger images give a map of logits, which are averaged."""

    smallest_image = IMAGE_SIZE

    def __init__(self, num_classes: int, output: OutputName) -> None:
        super().__init__()
        self.c5 = nn.Conv2d(SPECS[-1].channels, 120, 5)
        self.f6 = nn.Conv2d(120, 84, 1)
        self.squash = ScaledTanh()
        self.output = nn.Conv2d(84, num_classes, 1) if output == "linear" else RadialBasisOutput(num_classes)
        initialize_by_fan_in(self)

    def forward(self, features: Features) -> Tensor:
        """S4's maps (N, 16, h, w) to logits (N, K)."""
        x = self.squash(self.c5(features.maps[-1]))
        return self.output(self.squash(self.f6(x))).mean(dim=(2, 3))


class LeNet5(Backbone):
    """C1 to S4 of LeNet-5. The maps are those of C1 and C3, in front of the subsampling, and S4.

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II-B.
    """

    specs = SPECS

    def __init__(self, in_channels: int, output: OutputName, padded: bool) -> None:
        super().__init__()
        self.output = output
        padding = 2 if padded else 0
        self.c1 = nn.Conv2d(in_channels, SPECS[0].channels, 5, padding=padding)
        self.s2 = Subsampling(SPECS[0].channels)
        self.c3 = TableConvolution(CONNECTED_MAPS, SPECS[0].channels, 5, padding)
        self.s4 = Subsampling(SPECS[1].channels)
        self.squash = ScaledTanh()
        initialize_by_fan_in(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        first = self.squash(self.c1(images))
        second = self.squash(self.c3(self.squash(self.s2(first))))
        return Features((first, second, self.squash(self.s4(second))))

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """C5, F6 and the output layer of the paper, for images of 32 x 32 and larger."""
        return LeNet5Head(num_classes, self.output)


class LeNet(Backbone):
    """LeNet-5 with the parts of later years: ReLU, max pools, and C3 connected to every map of S2."""

    specs = SPECS
    capabilities = frozenset({"pool_indices"})

    def __init__(self, in_channels: int, padded: bool) -> None:
        super().__init__()
        padding = 2 if padded else 0
        self.c1 = nn.Conv2d(in_channels, SPECS[0].channels, 5, padding=padding)
        self.c3 = nn.Conv2d(SPECS[0].channels, SPECS[1].channels, 5, padding=padding)
        self.pool = nn.MaxPool2d(2, return_indices=True)
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`; an odd last row or column is dropped by the pools."""
        maps: list[Tensor] = []
        pools: list[Pool] = []
        x = images
        for convolution in (self.c1, self.c3):
            maps.append(functional.relu(convolution(x)))
            x, indices = self.pool(maps[-1])
            pools.append(Pool(indices, (maps[-1].shape[-2], maps[-1].shape[-1])))
        return Features((*maps, x), tuple(pools))

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """Hidden layers of 120 and 84, for images of 32 x 32 and larger."""
        head = FullyConnectedHead(SPECS[-1].channels, num_classes, 5, IMAGE_SIZE, hidden=(120, 84), dropout=0.0)
        initialize(head)
        initialize_head(head.layers[-1])
        return head


def initialize_by_fan_in(module: nn.Module) -> None:
    """Draw weights and biases uniformly from -2.4/F..2.4/F, F the inputs of the unit they belong to, in place.

    Source: LeCun et al. 1998, appendix A.
    """
    for layer in module.modules():
        for parameter, fan_in in _weights_with_fan_in(layer):
            nn.init.uniform_(parameter, -2.4 / fan_in, 2.4 / fan_in)


def _weights_with_fan_in(layer: nn.Module) -> Iterator[tuple[Tensor, int]]:
    """Weights, in parts of equal fan-in."""
    if isinstance(layer, nn.Conv2d):
        fan_in = layer.weight[0].numel()
        yield layer.weight, fan_in
        assert layer.bias is not None
        yield layer.bias, fan_in
    elif isinstance(layer, Subsampling):
        yield layer.coefficient, 4
        yield layer.bias, 4
    elif isinstance(layer, TableConvolution):
        first = 0
        for position, inputs in enumerate(layer.table):
            fan_in = len(inputs) * layer.weight[0].numel()
            yield layer.weight[first : first + len(inputs)], fan_in
            yield layer.bias[position : position + 1], fan_in
            first += len(inputs)


def build_lenet5(in_channels: int, *, output: OutputName = "linear", padded: bool = True) -> LeNet5:
    """Build LeNet-5: its output layer, and whether convolutions keep the size (the paper's do not)."""
    return LeNet5(in_channels, output, padded)


def build_lenet(in_channels: int, *, padded: bool = True) -> LeNet:
    """Build the modern LeNet: whether convolutions keep the size (the paper's do not)."""
    return LeNet(in_channels, padded)


BACKBONES.register("lenet5")(BackboneEntry(build_lenet5, "segkit", task_options={"output": ("classify",)}))
BACKBONES.register("lenet")(BackboneEntry(build_lenet, "segkit", frozenset({"pool_indices"})))
