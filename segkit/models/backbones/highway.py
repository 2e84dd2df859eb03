"""Highway networks: layers that learn, pixel by pixel, how much of their input to carry on unchanged."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.features import Features, FeatureSpec, Pool
from segkit.models.heads.classify import ClassifyHead
from segkit.models.layers.conv import ConvNormActivation, ConvStyle
from segkit.models.layers.initialization import initialize, initialize_head

HEAD_CHANNELS = 100
"""Maps of the 1 x 1 convolution in front of the classifier, as in the authors' release."""


class HighwayLayer(nn.Module):
    """y = H(x) T(x) + x (1 - T(x)): H is a 3 x 3 convolution and a ReLU, the transform gate T another and a sigmoid.

    The size and the channels stay. A negative bias keeps the gate nearly closed at first, so that a deep network starts
    by carrying its input on.

    Source: Srivastava et al. 2015, "Training very deep networks", equation 3, sections 2.1 and 2.2.

    Args:
        channels: channels in and out.
        gate_bias: initial bias of the transform gate.
    """

    def __init__(self, channels: int, gate_bias: float) -> None:
        super().__init__()
        self.transform = ConvNormActivation(channels, channels, style=ConvStyle(norm="none"))
        self.gate = ConvNormActivation(channels, channels, style=ConvStyle(norm="none", activation="sigmoid"))
        initialize(self)
        nn.init.constant_(self.gate.get_parameter("0.bias"), gate_bias)

    def forward(self, x: Tensor) -> Tensor:
        """A map (N, C, H, W) to one of the same shape."""
        gate = self.gate(x)
        return self.transform(x) * gate + x * (1 - gate)


class HighwayNetwork(Backbone):
    """Three stages of 3 x 3 layers with 2 x 2 max pools between them; the first layer of a stage is plain.

    A highway layer keeps the channels, so a plain convolution changes them (section 2.1). Maps are taken in front of
    the pools.

    Source: Srivastava et al. 2015, "Training very deep networks", section 3.3; the 19 layers, their channels and the
    dropout (of the image, behind the pools and in front of the classifier) are those of the authors' release for
    CIFAR-10. Of the network of 32 layers the paper gives depth and size only, 1.25 million parameters: three equal
    stages of 32, 48 and 64 channels have that size.
    """

    def __init__(
        self, channels: tuple[int, int, int], in_channels: int, depth: int, gate_bias: float, dropout: float
    ) -> None:
        super().__init__()
        self.capabilities = frozenset({"pool_indices"})
        self.specs = tuple(FeatureSpec(count, 2**stage) for stage, count in enumerate(channels))
        self.stages = nn.ModuleList(
            highway_stage(before, after, layers, gate_bias)
            for before, after, layers in zip((in_channels, *channels), channels, _layers_by_stage(depth), strict=False)
        )
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`; an odd last row or column is dropped by the pools."""
        maps = [self.stages[0](self.dropout(images))]
        pools: list[Pool] = []
        for stage in self.stages[1:]:
            pooled, indices = self.pool(maps[-1])
            pools.append(Pool(indices, (maps[-1].shape[-2], maps[-1].shape[-1])))
            maps.append(stage(self.dropout(pooled)))
        return Features(tuple(maps), tuple(pools))

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """The last two of the network's layers."""
        return HighwayHead(self.specs[-1].channels, num_classes, self.specs[-1].stride, self.dropout.p)


class HighwayHead(ClassifyHead):
    """A 1 x 1 convolution with ReLU, global average pooling, dropout and a linear layer (the authors' release)."""

    def __init__(self, in_channels: int, num_classes: int, smallest_image: int, dropout: float) -> None:
        super().__init__()
        self.smallest_image = smallest_image
        self.convolution = ConvNormActivation(in_channels, HEAD_CHANNELS, 1, style=ConvStyle(norm="none"))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(HEAD_CHANNELS, num_classes)
        initialize(self.convolution)
        initialize_head(self.linear)

    def forward(self, features: Features) -> Tensor:
        """The last map (N, C, h, w) to logits (N, K)."""
        return self.linear(self.dropout(self.convolution(features.maps[-1]).mean(dim=(2, 3))))


def highway_stage(in_channels: int, channels: int, layers: int, gate_bias: float) -> nn.Sequential:
    """A plain 3 x 3 layer that changes the channels, then highway layers: `layers` together."""
    plain = ConvNormActivation(in_channels, channels, style=ConvStyle(norm="none"))
    initialize(plain)
    return nn.Sequential(plain, *(HighwayLayer(channels, gate_bias) for _ in range(layers - 1)))


def _layers_by_stage(depth: int) -> list[int]:
    """The 3 x 3 layers of a network with `depth` layers, two of which are the head's; later stages get the rest."""
    each, rest = divmod(depth - 2, 3)
    return [each + (stage >= 3 - rest) for stage in range(3)]


def build_highway(
    channels: tuple[int, int, int],
    in_channels: int,
    *,
    depth: Annotated[int, Field(ge=5, le=1000)] = 19,
    gate_bias: Annotated[float, Field(le=0)] = -2.0,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
) -> HighwayNetwork:
    """Build a highway network.

    Args:
        channels: of the three stages.
        in_channels: channels of the images.
        depth: layers, counted as the paper does: every 3 x 3 layer, and the two of the classifier.
        gate_bias: initial bias of the transform gates; section 2.2 suggests -1, -2 and -3 for depths of about 10, 20
            and 30.
        dropout: share dropped of the image, behind the pools, and in front of the classifier.
    """
    return HighwayNetwork(channels, in_channels, depth, gate_bias, dropout)


for _name, _build in (
    ("highway19", partial(build_highway, (32, 80, 128))),
    ("highway32", partial(build_highway, (32, 48, 64), depth=32, gate_bias=-3.0)),
):
    BACKBONES.register(_name)(BackboneEntry(_build, "segkit", frozenset({"pool_indices"})))
