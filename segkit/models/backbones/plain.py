"""Plain stacks of 3 x 3 convolutions and pools: the contracting path of the U-Net, or any pattern of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.backbones._pattern import Pattern, parse_pattern
from segkit.models.features import Features, FeatureSpec, Pool
from segkit.models.heads.classify import ClassifyHead
from segkit.models.heads.fully_connected import FullyConnectedHead
from segkit.models.layers.activation import ActivationName
from segkit.models.layers.conv import ConvNormActivation, ConvStyle
from segkit.models.layers.initialization import initialize, initialize_head
from segkit.models.layers.norm import NormName
from segkit.models.layers.pool import PoolName, create_pool, pooled_side


@dataclass(frozen=True)
class FullyConnected:
    """The fully connected part of a classifier.

    Attributes:
        hidden: units of its layers.
        image_size: side of the images whose last map is flattened whole.
        dropout: share of the units dropped behind each layer in training.
    """

    hidden: Sequence[int]
    image_size: int
    dropout: float


class PlainBackbone(Backbone):
    """Levels of 3 x 3 convolutions with a pool between every two.

    A stem stride above 1 moves blocks of pixels into channels first: nothing of the image is lost, and the costly
    first level has a quarter of the positions (the inverse of the sub-pixel shuffle of Shi et al. 2016, section 2.2).

    Args:
        in_channels: channels of the images.
        levels: output channels of the convolutions of every level; a level without any is the pool's own map.
        style: what follows a convolution.
        stem_stride: pixels of the image per pixel of the first level.
        pool: what stands between two levels.
        dropout: share of activations dropped behind the convolutions of a level in training, the others scaled up.
        pooled_maps: whether the maps are those behind the pools, in place of the last ones in front.
        fully_connected: what a classifier has between the last map and the logits; else it averages the map.
    """

    def __init__(
        self,
        in_channels: int,
        levels: Sequence[Sequence[int]],
        *,
        style: ConvStyle,
        stem_stride: int = 1,
        pool: PoolName = "max",
        dropout: float = 0.0,
        pooled_maps: bool = False,
        fully_connected: FullyConnected | None = None,
    ) -> None:
        super().__init__()
        self.takes_any_size = stem_stride == 1
        self.style, self.pool_name, self.pooled_maps = style, pool, pooled_maps
        self.stem_stride, self.fully_connected = stem_stride, fully_connected
        self.stem = nn.PixelUnshuffle(stem_stride)
        self.levels = nn.ModuleList()
        specs: list[FeatureSpec] = []
        before = in_channels * stem_stride**2
        for level, channels in enumerate(levels):
            pooled, stride = before, stem_stride * 2**level
            layers: list[nn.Module] = []
            for after in channels:
                layers.append(ConvNormActivation(before, after, style=style))
                before = after
            self.levels.append(nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout and layers else [])))
            specs.append(FeatureSpec(pooled if pooled_maps else before, stride))
        self.specs = tuple(specs[1:] if pooled_maps else specs)
        if pool == "max" and not pooled_maps:
            self.capabilities = frozenset({"pool_indices"})
        # Indices cost nothing: torch computes them in any case.
        self.pool = create_pool(pool, return_indices="pool_indices" in self.capabilities)
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`; pools of 2 x 2 drop an odd last row or column."""
        pools: list[Pool] = []
        x = self.levels[0](self.stem(images))
        pooled_maps, maps = [], [x]
        for level in self.levels[1:]:
            if "pool_indices" in self.capabilities:
                size = (x.shape[-2], x.shape[-1])
                x, indices = self.pool(x)
                pools.append(Pool(indices, size))
            else:
                x = self.pool(x)
            pooled_maps.append(x)
            x = level(x)
            maps.append(x)
        return Features(tuple(pooled_maps if self.pooled_maps else maps), tuple(pools))

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """Fully connected layers where the network has them, else global average pooling."""
        settings = self.fully_connected
        if settings is None:
            return super().create_classifier(num_classes)
        kernel_size = pooled_side(self.pool_name, settings.image_size // self.stem_stride, len(self.levels) - 1)
        if not kernel_size:
            raise UsageError(
                f"images of {settings.image_size} pixels leave nothing behind {len(self.levels) - 1} pools for the "
                f"fully connected part; use image_size={self.specs[-1].stride} or more"
            )
        head = FullyConnectedHead(
            self.specs[-1].channels,
            num_classes,
            kernel_size,
            settings.image_size,
            settings.hidden,
            settings.dropout,
            activation=self.style.activation,
        )
        initialize(head)
        initialize_head(head.layers[-1])
        return head


def build_plain(
    in_channels: int,
    *,
    width: Annotated[int, Field(ge=1)] = 24,
    depth: Annotated[int, Field(ge=2, le=8)] = 5,
    max_width: Annotated[int, Field(ge=1)] = 256,
    stem_stride: Annotated[int, Field(ge=1, le=4)] = 1,
    pattern: str | None = None,
    norm: NormName = "batch",
    activation: ActivationName = "relu",
    weight_standardization: bool = False,
    pool: PoolName = "max",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    image_size: Annotated[int, Field(ge=1)] = 32,
) -> PlainBackbone:
    """Build the plain backbone.

    Without a pattern it is the contracting path of the U-Net (Ronneberger et al. 2015, figure 1, with normalization,
    padded convolutions and fewer channels): `depth` levels of two convolutions to min(width * 2**level, max_width)
    channels. The paper has width 64 and at most 1024 channels.

    Args:
        in_channels: channels of the images.
        width: channels of the first level.
        depth: number of levels.
        max_width: most channels of a level.
        stem_stride: pixels of the image per pixel of the first level.
        pattern: levels and fully connected part, see `parse_pattern`; in place of width, depth and max_width.
        norm: normalization behind every convolution, see `create_norm`.
        activation: behind every convolution and fully connected layer, see `create_activation`.
        weight_standardization: whether filters are standardized before use.
        pool: what halves the maps, see `create_pool`.
        dropout: share dropped in training behind every level and every fully connected layer.
        image_size: side of the images that the fully connected part of a pattern flattens; larger ones are averaged.

    Raises:
        UsageError: a pattern that cannot be read.
    """
    parsed = Pattern(_doubling(width, depth, max_width)) if pattern is None else parse_pattern(pattern)
    return PlainBackbone(
        in_channels,
        parsed.levels,
        style=ConvStyle(norm, activation, weight_standardization),
        stem_stride=stem_stride,
        pool=pool,
        dropout=dropout,
        fully_connected=FullyConnected(parsed.hidden, image_size, dropout) if parsed.hidden else None,
    )


def _doubling(width: int, depth: int, max_width: int) -> tuple[tuple[int, ...], ...]:
    """Two convolutions a level, twice the channels of the level before."""
    return tuple((min(width * 2**level, max_width),) * 2 for level in range(depth))


def _idle_options(options: Mapping[str, Any]) -> dict[str, str]:
    pattern = options["pattern"]
    idle = {} if pattern is None else dict.fromkeys(("width", "depth", "max_width"), "the pattern has the channels")
    if pattern is None or not parse_pattern(pattern).hidden:
        idle["image_size"] = "only fully connected layers, F in a pattern, depend on it"
    return idle


BACKBONES.register("plain")(
    BackboneEntry(build_plain, "segkit", frozenset({"pool_indices"}), idle_options=_idle_options)
)
