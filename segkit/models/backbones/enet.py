"""The encoder of ENet: early downsampling, then many thin bottlenecks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.features import Features, FeatureSpec, Pool
from segkit.models.layers.activation import ActivationName, create_activation
from segkit.models.layers.conv import ConvNormActivation, ConvStyle
from segkit.models.layers.initialization import initialize

INITIAL_FILTERS = 13
PRELU = ConvStyle(activation="prelu")


class InitialBlock(nn.Module):
    """A 3 x 3 convolution of stride 2 beside a pool of the image, concatenated (figure 2a).

    The paper's 13 filters and 3 colours make 16 channels; the filters stay 13 for other numbers of image channels.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = INITIAL_FILTERS + in_channels
        self.convolution = nn.Conv2d(in_channels, INITIAL_FILTERS, kernel_size=3, stride=2, padding=1, bias=False)
        # Like the convolution, the pool keeps an odd last row or column.
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.norm = nn.BatchNorm2d(self.out_channels)
        self.activation = nn.PReLU(self.out_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to a map (N, 13 + C, H / 2, W / 2)."""
        return self.activation(self.norm(torch.cat([self.convolution(images), self.pool(images)], dim=1)))


class Bottleneck(nn.Module):
    """1 x 1 reduction to a quarter of the channels, `middle`, 1 x 1 expansion, dropout; a shortcut (figure 2b).

    Args:
        channels: channels in and out.
        middle: what stands between reduction and expansion; keeps size and channels.
        dropout: share of channels dropped in training (Tompson et al. 2015).
        activation: ENet's encoder has `prelu`, its decoder `relu`.
    """

    def __init__(self, channels: int, middle: nn.Module, dropout: float, activation: ActivationName = "prelu") -> None:
        super().__init__()
        style = ConvStyle(activation=activation)
        self.branch = nn.Sequential(
            ConvNormActivation(channels, quarter(channels), 1, style=style),
            middle,
            ConvNormActivation(quarter(channels), channels, 1, activated=False),
            nn.Dropout2d(dropout),
        )
        self.activation = create_activation(activation, channels)

    def forward(self, x: Tensor) -> Tensor:
        """A map of the same size and channels."""
        return self.activation(x + self.branch(x))


class DownsamplingBottleneck(nn.Module):
    """A bottleneck of stride 2: the reduction is 2 x 2, the shortcut pools and fills up with channels of zeros."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        reduced = quarter(out_channels)
        self.new_channels = out_channels - in_channels
        self.branch = nn.Sequential(
            nn.Conv2d(in_channels, reduced, kernel_size=2, stride=2, bias=False),
            nn.BatchNorm2d(reduced),
            nn.PReLU(reduced),
            ConvNormActivation(reduced, reduced, style=PRELU),
            ConvNormActivation(reduced, out_channels, 1, activated=False),
            nn.Dropout2d(dropout),
        )
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.activation = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Pool]:
        """The map of half the size, and the pool of the shortcut."""
        pooled, indices = self.pool(x)
        shortcut = functional.pad(pooled, (0, 0, 0, 0, 0, self.new_channels))
        return self.activation(shortcut + self.branch(x)), Pool(indices, (x.shape[-2], x.shape[-1]))


class EnetBackbone(Backbone):
    """Maps of stride 2, 4 and 8 with 16, 64 and 128 channels for colour images: stages 1 to 3 of ENet.

    The pools are those of bottlenecks 1.0 and 2.0. That of the initial block is not unpooled by the paper either.
    As in the authors' code the reduction is to a quarter of the *output* channels, and nothing stands between the two
    asymmetric convolutions; batch normalization follows every other convolution, which therefore has no bias.

    Source: Paszke et al. 2016, "ENet: a deep neural network architecture for real-time semantic segmentation", table 1
    and section 4.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.initial = InitialBlock(in_channels)
        channels = (self.initial.out_channels, 64, 128)
        self.specs = tuple(FeatureSpec(count, 2 << level) for level, count in enumerate(channels))
        self.capabilities = frozenset({"pool_indices"})
        self.downsampling1 = DownsamplingBottleneck(channels[0], channels[1], dropout=0.01)
        self.stage1 = nn.Sequential(*(Bottleneck(channels[1], regular(channels[1]), dropout=0.01) for _ in range(4)))
        self.downsampling2 = DownsamplingBottleneck(channels[1], channels[2], dropout=0.1)
        self.stage2 = _context_stage(channels[2])
        self.stage3 = _context_stage(channels[2])
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`; an odd last row or column is dropped by the bottlenecks' pools."""
        first = self.initial(images)
        second, first_pool = self.downsampling1(first)
        second = self.stage1(second)
        third, second_pool = self.downsampling2(second)
        return Features((first, second, self.stage3(self.stage2(third))), (first_pool, second_pool))


def quarter(channels: int) -> int:
    """Channels inside a bottleneck that gives `channels`."""
    return max(channels // 4, 1)


def regular(channels: int, dilation: int = 1, activation: ActivationName = "prelu") -> ConvNormActivation:
    """The 3 x 3 convolution inside a bottleneck of `channels`."""
    width = quarter(channels)
    return ConvNormActivation(width, width, dilation=dilation, style=ConvStyle(activation=activation))


def _asymmetric(channels: int) -> nn.Sequential:
    """A 5 x 1 and a 1 x 5 convolution."""
    width = quarter(channels)
    return nn.Sequential(
        nn.Conv2d(width, width, kernel_size=(5, 1), padding=(2, 0), bias=False),
        nn.Conv2d(width, width, kernel_size=(1, 5), padding=(0, 2), bias=False),
        nn.BatchNorm2d(width),
        nn.PReLU(width),
    )


def _context_stage(channels: int) -> nn.Sequential:
    """Bottlenecks 1 to 8 of stages 2 and 3: regular, dilated, asymmetric, dilated, twice."""
    middles = (
        regular(channels),
        regular(channels, dilation=2),
        _asymmetric(channels),
        regular(channels, dilation=4),
        regular(channels),
        regular(channels, dilation=8),
        _asymmetric(channels),
        regular(channels, dilation=16),
    )
    return nn.Sequential(*(Bottleneck(channels, middle, dropout=0.1) for middle in middles))


def build_enet(in_channels: int) -> EnetBackbone:
    """Build the encoder of ENet."""
    return EnetBackbone(in_channels)


BACKBONES.register("enet")(BackboneEntry(build_enet, "segkit", frozenset({"pool_indices"})))
