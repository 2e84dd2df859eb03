"""The contracting path of the U-Net with batch normalization: plain double convolutions and 2 x 2 max pools."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.features import Features, FeatureSpec, Pool
from segkit.models.layers.conv import double_convolution
from segkit.models.layers.initialization import initialize


class PlainBackbone(Backbone):
    """A stack of double convolutions; level i has min(width * 2**i, max_width) channels at stride stem_stride * 2**i.

    A stem stride above 1 moves blocks of pixels into channels first: nothing of the image is lost, and the costly
    first level has a quarter of the positions (the inverse of the sub-pixel shuffle of Shi et al. 2016, section 2.2).

    Source: Ronneberger et al. 2015, "U-Net", figure 1 (there width 64, depth 5, at most 1024 channels, no padding).
    """

    def __init__(self, in_channels: int, width: int, depth: int, max_width: int, stem_stride: int) -> None:
        super().__init__()
        channels = [min(width * 2**level, max_width) for level in range(depth)]
        self.specs = tuple(FeatureSpec(count, stem_stride * 2**level) for level, count in enumerate(channels))
        self.capabilities = frozenset({"pool_indices"})
        self.stem = nn.PixelUnshuffle(stem_stride)
        inputs = [in_channels * stem_stride**2, *channels]
        self.levels = nn.ModuleList(
            double_convolution(before, after) for before, after in zip(inputs, channels, strict=False)
        )
        # Indices cost nothing: torch computes them in any case.
        self.pool = nn.MaxPool2d(2, return_indices=True)
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`; an odd last row or column is dropped by the pools."""
        maps: list[Tensor] = []
        pools: list[Pool] = []
        x = self.stem(images)
        for level in self.levels:
            if maps:
                x, indices = self.pool(maps[-1])
                pools.append(Pool(indices, (maps[-1].shape[-2], maps[-1].shape[-1])))
            x = level(x)
            maps.append(x)
        return Features(tuple(maps), tuple(pools))


def build_plain(
    in_channels: int,
    *,
    width: Annotated[int, Field(ge=1)] = 24,
    depth: Annotated[int, Field(ge=2, le=8)] = 5,
    max_width: Annotated[int, Field(ge=1)] = 256,
    stem_stride: Annotated[int, Field(ge=1, le=4)] = 1,
) -> PlainBackbone:
    """Build the plain backbone: channels of the first level, levels, most channels of a level, stride of the first."""
    return PlainBackbone(in_channels, width, depth, max_width, stem_stride)


BACKBONES.register("plain")(BackboneEntry(build_plain, "segkit", frozenset({"pool_indices"})))
