"""The contracting path of the U-Net of 2015: valid convolutions, so that every map lacks what lies beyond the image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.features import Features, FeatureSpec
from segkit.models.heads.classify import ClassifyHead, PoolingHead
from segkit.models.layers.conv import valid_double_convolution
from segkit.models.layers.initialization import initialize

DROPPED_LEVELS = 2
"""Coarsest levels with dropout at their end."""


class Unet2015Backbone(Backbone):
    """Two 3 x 3 convolutions without padding per level, each followed by a ReLU, then a 2 x 2 max pool.

    Level i has width * 2**i channels at stride 2**i; a map is smaller than the image by the pixels its convolutions
    lost, which the capability `valid_convolutions` tells the decoder.

    Source: Ronneberger et al. 2015, "U-Net", figure 1 and section 2 (width 64, depth 5). Dropout stands "at the end of
    the contracting path" (section 3.1); the authors' released network has it, with 0.5, behind the last two levels.
    Initial weights are from N(0, sqrt(2 / N)), N being the incoming nodes of a neuron (section 3).
    """

    def __init__(self, in_channels: int, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(depth)]
        self.specs = tuple(FeatureSpec(count, 2**level) for level, count in enumerate(channels))
        self.capabilities = frozenset({"valid_convolutions"})
        self.levels = nn.ModuleList(
            valid_double_convolution(before, after)
            for before, after in zip([in_channels, *channels], channels, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`; an odd last row or column is dropped by the pools."""
        maps: list[Tensor] = []
        for number, level in enumerate(self.levels):
            x = level(self.pool(maps[-1]) if maps else images)
            maps.append(self.dropout(x) if number >= len(self.levels) - DROPPED_LEVELS else x)
        return Features(tuple(maps))

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """Global average pooling; the smallest image is the one whose coarsest map is a single pixel."""
        coarsest = self.specs[-1]
        return PoolingHead(coarsest.channels, num_classes, smallest_image=9 * coarsest.stride - 4)


def build_unet2015(
    in_channels: int,
    *,
    width: Annotated[int, Field(ge=1)] = 64,
    depth: Annotated[int, Field(ge=2, le=6)] = 5,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
) -> Unet2015Backbone:
    """Build the backbone of the U-Net of 2015: channels of the first level, levels, share dropped at the end."""
    return Unet2015Backbone(in_channels, width, depth, dropout)


BACKBONES.register("unet2015")(BackboneEntry(build_unet2015, "segkit", frozenset({"valid_convolutions"})))
