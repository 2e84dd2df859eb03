"""Densely connected networks: every layer sees the maps of all layers before it in its block."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.backbones._torchvision import fetch_state, rename_layers
from segkit.models.features import Features, FeatureSpec
from segkit.models.layers.conv import ConvNormActivation
from segkit.models.layers.initialization import initialize


@dataclass(frozen=True)
class Architecture:
    """One column of table 1 of Huang et al. 2016.

    Attributes:
        layers: dense layers of each block.
        weights: torchvision's name of the published weights.
    """

    layers: tuple[int, int, int, int]
    weights: str


class NormActivationConv(nn.Sequential):
    """Batch normalization, ReLU, convolution: the order of a dense layer (section 3, "composite function")."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(
            nn.BatchNorm2d(in_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        )


class DenseBlock(nn.ModuleList):
    """Layers that each add `growth_rate` channels to what they are given.

    A layer is a 1 x 1 convolution to 4 * growth_rate channels ("bottleneck layers", DenseNet-B) and a 3 x 3 one.
    """

    def __init__(self, in_channels: int, growth_rate: int, layers: int) -> None:
        super().__init__(
            nn.Sequential(
                NormActivationConv(in_channels + layer * growth_rate, 4 * growth_rate, 1),
                NormActivationConv(4 * growth_rate, growth_rate, 3),
            )
            for layer in range(layers)
        )
        self.out_channels = in_channels + layers * growth_rate

    def forward(self, x: Tensor) -> Tensor:
        """A map (N, in_channels, H, W) to (N, out_channels, H, W), the input first."""
        maps = [x]
        for layer in self:
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)


class DenseNet(Backbone):
    """A 7 x 7 convolution, a pool, and four dense blocks with transitions between them (DenseNet-BC).

    A transition halves the channels with a 1 x 1 convolution (compression 0.5), then halves the size. Maps are taken in
    front of the pools: the stem's, the three transitions' after their convolution, and the end's.

    Source: Huang et al. 2016, "Densely connected convolutional networks", section 3 and table 1.
    """

    def __init__(self, in_channels: int, architecture: Architecture, growth_rate: int) -> None:
        super().__init__()
        self.torchvision_weights = architecture.weights
        channels = 2 * growth_rate
        self.stem = ConvNormActivation(in_channels, channels, 7, 2)
        self.pools = nn.ModuleList([nn.MaxPool2d(3, stride=2, padding=1), *[nn.AvgPool2d(2) for _ in range(3)]])
        self.blocks = nn.ModuleList()
        self.transitions = nn.ModuleList()
        specs = [FeatureSpec(channels, 2)]
        for level, layers in enumerate(architecture.layers):
            block = DenseBlock(channels, growth_rate, layers)
            self.blocks.append(block)
            channels = block.out_channels
            if level < len(architecture.layers) - 1:
                self.transitions.append(NormActivationConv(channels, channels // 2, 1))
                channels //= 2
            specs.append(FeatureSpec(channels, 4 * 2**level))
        self.end = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.specs = tuple(specs)
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        maps = [self.stem(images)]
        for pool, block, after in zip(self.pools, self.blocks, [*self.transitions, self.end], strict=True):
            maps.append(after(block(pool(maps[-1]))))
        return Features(tuple(maps))

    def fetch_weights(self, name: str) -> dict[str, Tensor]:  # noqa: ARG002
        """Torchvision's only weights, converted from the authors'; see `Backbone.fetch_weights`."""
        return rename_torchvision(fetch_state(self.torchvision_weights))


_NAMES = {
    "features.conv0": "backbone.stem.0",
    "features.norm0": "backbone.stem.1",
    "features.norm5": "backbone.end.0",
    "classifier": "heads.classify.linear",
}
# Where the layers stand in a `NormActivationConv`.
_POSITIONS = {"norm": 0, "conv": 2}


def rename_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of torchvision's DenseNet under the names of a `Model` that classifies."""
    return rename_layers(state, _renamed)


def _renamed(layer: str) -> str | None:
    # The published files still hold names such as `norm.1`, which a layer cannot have any more.
    if found := re.fullmatch(r"features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)\.?(\d)", layer):
        block, number, kind, position = found.groups()
        return f"backbone.blocks.{int(block) - 1}.{int(number) - 1}.{int(position) - 1}.{_POSITIONS[kind]}"
    if found := re.fullmatch(r"features\.transition(\d)\.(norm|conv)", layer):
        number, kind = found.groups()
        return f"backbone.transitions.{int(number) - 1}.{_POSITIONS[kind]}"
    return _NAMES.get(layer)


def build_densenet(
    architecture: Architecture,
    in_channels: int,
    *,
    growth_rate: Annotated[int, Field(ge=1)] = 32,
) -> DenseNet:
    """Build a DenseNet whose dense layers add `growth_rate` channels each."""
    return DenseNet(in_channels, architecture, growth_rate)


# Table 1 of the paper; DenseNet-161 stands in its earlier versions only.
for _name, _growth_rate, _layers in (
    ("densenet121", 32, (6, 12, 24, 16)),
    ("densenet161", 48, (6, 12, 36, 24)),
    ("densenet169", 32, (6, 12, 32, 32)),
    ("densenet201", 32, (6, 12, 48, 32)),
):
    _architecture = Architecture(_layers, f"DenseNet{_name.removeprefix('densenet')}_Weights.IMAGENET1K_V1")
    BACKBONES.register(_name)(
        BackboneEntry(
            partial(build_densenet, _architecture, growth_rate=_growth_rate),
            "segkit",
            published_weights=("imagenet",),
            published_options={"growth_rate": (_growth_rate,)},
        )
    )
