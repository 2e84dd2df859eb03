"""Residual networks: the paper's, and torchvision's, which have the stride in another convolution."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.backbones._torchvision import fetch_state, rename_layers
from segkit.models.features import Features, FeatureSpec
from segkit.models.layers.activation import ActivationName, create_activation
from segkit.models.layers.conv import ConvNormActivation, ConvStyle
from segkit.models.layers.initialization import initialize
from segkit.models.layers.norm import NormName
from segkit.models.layers.pool import PoolName, create_pool


@dataclass(frozen=True)
class Architecture:
    """One column of table 1 of He et al. 2015.

    Attributes:
        blocks: residual blocks of each stage.
        kernels: filter sizes of the convolutions of a block.
        strided: which convolution of a block has the stride of its stage.
        expansion: channels of a block's output per channel of its first convolution.
        weights: torchvision's name of published weights that fit.
    """

    blocks: tuple[int, int, int, int]
    kernels: tuple[int, ...] = (3, 3)
    strided: int = 0
    expansion: int = 1
    weights: str = ""


class ResidualBlock(nn.Module):
    """Convolutions F and a shortcut: activation(F(x) + x), or F(x) + P(x) with a projection P where sizes differ.

    P is a 1 x 1 convolution with the stride, and a normalization: option B of He et al. 2015, section 4.1. With maxout,
    which has two inputs per output, the shortcut is added to both; max(F1 + x, F2 + x) is computed as max(F1, F2) + x.

    Args:
        in_channels: channels in.
        width: channels of all convolutions but the last of a bottleneck.
        architecture: filter sizes, and which of them has the stride.
        stride: of the block.
        dilations: dilation of the filters up to the strided one, and of those behind it.
        style: normalization and activation.
        dropout: share of activations dropped in front of the last convolution.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        architecture: Architecture,
        stride: int,
        dilations: tuple[int, int],
        style: ConvStyle,
        dropout: float,
    ) -> None:
        super().__init__()
        kernels, strided = architecture.kernels, architecture.strided
        channels = [in_channels, *[width] * (len(kernels) - 1), width * architecture.expansion]
        has_maxout = style.activation == "maxout"
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, kernel_size in enumerate(kernels):
            is_last = i == len(kernels) - 1
            if is_last and dropout > 0:
                layers["dropout"] = nn.Dropout(dropout)
            layers[f"conv{i + 1}"] = ConvNormActivation(
                channels[i],
                channels[i + 1],
                kernel_size,
                stride if i == strided else 1,
                dilation=dilations[i > strided],
                activated=not is_last or has_maxout,
                style=style,
            )
        self.residual = nn.Sequential(layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != channels[-1]:
            self.shortcut = ConvNormActivation(in_channels, channels[-1], 1, stride, activated=False, style=style)
        self.activation = nn.Identity() if has_maxout else create_activation(style.activation, channels[-1])

    def forward(self, x: Tensor) -> Tensor:
        """A map (N, in_channels, H, W) to (N, width * expansion, H / stride, W / stride)."""
        return self.activation(self.residual(x) + self.shortcut(x))


class ResNet(Backbone):
    """A 7 x 7 convolution, a pool and four stages of residual blocks.

    Maps are the stem's in front of the pool and the last of every stride. Where `output_stride` is below 32, the last
    stages keep their size, and every filter behind a stride left out is dilated by it: the maps sampled at every
    32 / output_stride-th pixel are those of the network with strides.

    Source: He et al. 2015, "Deep residual learning for image recognition", table 1 and section 3.4; dilation: Chen et
    al. 2017, "Rethinking atrous convolution for semantic image segmentation", section 3.1. Its dropout, which the paper
    has not: Zagoruyko and Komodakis 2016, "Wide residual networks", section 2.4.
    """

    def __init__(
        self,
        in_channels: int,
        architecture: Architecture,
        style: ConvStyle,
        pool: PoolName,
        dropout: float,
        output_stride: int,
    ) -> None:
        super().__init__()
        self.torchvision_weights = architecture.weights
        self.stem = ConvNormActivation(in_channels, 64, 7, 2, style=style)
        self.pool = create_pool(pool)
        self.stages = nn.ModuleList()
        self.strides: list[int] = []
        specs = {2: 64}
        channels, stride, dilation = 64, 4, 1
        for stage, count in enumerate(architecture.blocks):
            width = 64 * 2**stage
            factor = 1 if stage == 0 else 2
            step = 1 if stride * factor > output_stride else factor
            dilations = (dilation, dilation * factor // step)
            blocks: list[nn.Module] = []
            for _ in range(count):
                blocks.append(ResidualBlock(channels, width, architecture, step, dilations, style, dropout))
                channels, step, dilation = width * architecture.expansion, 1, dilations[1]
                dilations = (dilation, dilation)
            self.stages.append(nn.Sequential(*blocks))
            stride = min(stride * factor, output_stride)
            self.strides.append(stride)
            specs[stride] = channels
        self.specs = tuple(FeatureSpec(count, stride) for stride, count in specs.items())
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        x = self.stem(images)
        maps = {2: x}
        x = self.pool(x)
        for stride, stage in zip(self.strides, self.stages, strict=True):
            x = stage(x)
            maps[stride] = x
        return Features(tuple(maps.values()))

    def fetch_weights(self, name: str) -> dict[str, Tensor]:  # noqa: ARG002
        """Torchvision's first weights, trained as in the paper; see `Backbone.fetch_weights`."""
        return rename_torchvision(fetch_state(self.torchvision_weights))


def rename_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of torchvision's ResNet under the names of a `Model` that classifies."""
    return rename_layers(state, _renamed)


def _renamed(layer: str) -> str | None:
    match layer.split("."):
        case ["fc"]:
            return "heads.classify.linear"
        case ["conv1" | "bn1" as name]:
            return f"backbone.stem.{_position(name)}"
        case ["layer1" | "layer2" | "layer3" | "layer4" as stage, block, "downsample", position]:
            return f"backbone.stages.{int(stage[-1]) - 1}.{block}.shortcut.{position}"
        case ["layer1" | "layer2" | "layer3" | "layer4" as stage, block, name]:
            return f"backbone.stages.{int(stage[-1]) - 1}.{block}.residual.conv{name[-1]}.{_position(name)}"
    return None


def _position(layer: str) -> int:
    """Where a layer that torchvision calls `conv1` or `bn1` stands in a `ConvNormActivation`."""
    return 0 if layer.startswith("conv") else 1


def build_resnet(
    architecture: Architecture,
    in_channels: int,
    *,
    norm: NormName = "batch",
    activation: ActivationName = "relu",
    weight_standardization: bool = False,
    pool: PoolName = "overlapping_max",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    output_stride: Literal[8, 16, 32] = 32,
) -> ResNet:
    """Build a residual network.

    Args:
        architecture: its column of the paper's table.
        in_channels: channels of the images.
        norm: normalization behind every convolution, see `create_norm`.
        activation: see `create_activation`.
        weight_standardization: whether filters are standardized, see `StandardizedConv2d`.
        pool: the only pool, behind the stem, see `create_pool`.
        dropout: share of activations dropped in front of the last convolution of every block.
        output_stride: stride of the last map; filters are dilated where strides are left out.
    """
    style = ConvStyle(norm, activation, weight_standardization)
    return ResNet(in_channels, architecture, style, pool, dropout, output_stride)


_bottleneck = partial(Architecture, kernels=(1, 3, 1), expansion=4)
# Table 1 of the paper. The stride of a bottleneck is in its first convolution ("downsampling is performed by conv3_1,
# conv4_1, and conv5_1"), as in the authors' release; torchvision moved it to the second, called v1.5.
ARCHITECTURES = {
    "resnet18": Architecture((2, 2, 2, 2), weights="ResNet18_Weights.IMAGENET1K_V1"),
    "resnet34": Architecture((3, 4, 6, 3), weights="ResNet34_Weights.IMAGENET1K_V1"),
    "resnet50": _bottleneck((3, 4, 6, 3)),
    "resnet101": _bottleneck((3, 4, 23, 3)),
    "resnet152": _bottleneck((3, 8, 36, 3)),
    "resnet50_tv": _bottleneck((3, 4, 6, 3), strided=1, weights="ResNet50_Weights.IMAGENET1K_V1"),
    "resnet101_tv": _bottleneck((3, 4, 23, 3), strided=1, weights="ResNet101_Weights.IMAGENET1K_V1"),
    "resnet152_tv": _bottleneck((3, 8, 36, 3), strided=1, weights="ResNet152_Weights.IMAGENET1K_V1"),
}

for _name, _architecture in ARCHITECTURES.items():
    BACKBONES.register(_name)(
        BackboneEntry(
            partial(build_resnet, _architecture),
            "segkit",
            published_weights=("imagenet",) if _architecture.weights else (),
            published_options={
                "norm": ("batch",),
                "activation": ("relu",),
                "weight_standardization": (False,),
                "pool": ("overlapping_max",),
            },
            published_variant=None if _architecture.weights else f"{_name}_tv",
        )
    )
