"""Network in network: small multilayer perceptrons slid over the image in place of linear filters."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.features import Features, FeatureSpec
from segkit.models.heads.classify import ClassifyHead
from segkit.models.layers.conv import ConvNormActivation, ConvStyle
from segkit.models.layers.initialization import initialize

_STYLE = ConvStyle(norm="none")


def mlpconv(in_channels: int, kernel_size: int, *channels: int) -> nn.Sequential:
    """A convolution, then 1 x 1 convolutions, each with a ReLU (Lin et al. 2014, section 3.1 and equation 2)."""
    sizes = [kernel_size, *[1] * (len(channels) - 1)]
    return nn.Sequential(
        *(
            ConvNormActivation(before, after, size, style=_STYLE)
            for before, after, size in zip((in_channels, *channels), channels, sizes, strict=False)
        )
    )


class NiN(Backbone):
    """Three mlpconv layers; behind the first two an overlapping 3 x 3 max pool of stride 2, and dropout.

    The last 1 x 1 convolution of the third layer gives the class maps and stands in the head. Maps are taken in front
    of the pools.

    Source: Lin et al. 2014, "Network in network", section 3.1 and figure 2; filter sizes and channels, which the paper
    leaves to its supplement, are those of the authors' release for CIFAR-10. That release averages in the second pool;
    here both take the maximum, as section 4.1 says.
    """

    def __init__(self, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [mlpconv(in_channels, 5, 192, 160, 96), mlpconv(96, 5, 192, 192, 192), mlpconv(192, 3, 192, 192)]
        )
        # A last pool that hangs over the border makes 16 of 32 pixels, as in cuda-convnet.
        self.pool = nn.Sequential(nn.MaxPool2d(3, stride=2, ceil_mode=True), nn.Dropout(dropout))
        self.specs = (FeatureSpec(96, 1), FeatureSpec(192, 2), FeatureSpec(192, 4))
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`, which are at least 4 x 4 pixels."""
        maps = [self.layers[0](images)]
        for layer in self.layers[1:]:
            maps.append(layer(self.pool(maps[-1])))
        return Features(tuple(maps))

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """One map per class, averaged: nothing else stands between the maps and the logits."""
        return ClassMapsHead(self.specs[-1].channels, num_classes, smallest_image=self.specs[-1].stride)


class ClassMapsHead(ClassifyHead):
    """A 1 x 1 convolution with ReLU to one map per class, whose averages are the logits.

    Source: Lin et al. 2014, section 3.2. The ReLU is the one of every layer of an mlpconv (equation 2).
    """

    def __init__(self, in_channels: int, num_classes: int, smallest_image: int) -> None:
        super().__init__()
        self.smallest_image = smallest_image
        self.class_maps = ConvNormActivation(in_channels, num_classes, 1, style=_STYLE)
        initialize(self)

    def forward(self, features: Features) -> Tensor:
        """The last map (N, C, h, w) to logits (N, K)."""
        return self.class_maps(features.maps[-1]).mean(dim=(2, 3))


def build_nin(
    in_channels: int,
    *,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
) -> NiN:
    """Build the network in network of CIFAR-10; `dropout` is the share of activations dropped behind the pools."""
    return NiN(in_channels, dropout)


BACKBONES.register("nin")(BackboneEntry(build_nin, "segkit"))
