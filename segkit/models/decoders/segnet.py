"""The decoder of SegNet: the encoder's maxima back in their places, then convolutions that fill the gaps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from segkit.models.decoders._base import DECODERS, Decoder, DecoderEntry, Specs
from segkit.models.decoders._unpooling import UnpoolingPath, mirrored_convolutions
from segkit.models.features import Features
from segkit.models.layers.conv import ConvNormActivation
from segkit.models.layers.initialization import initialize
from segkit.models.layers.upsample import Size


class SegnetDecoder(Decoder):
    """The backbone mirrored: for every pool an unpooling and 3 x 3 convolutions with batch normalization and ReLU.

    The last convolution of the finest level is the head. On a VGG-16 with batch normalization this is the paper's
    network, without the bias in front of batch normalization, which has no effect.

    Source: Badrinarayanan et al. 2017, "SegNet: a deep convolutional encoder-decoder architecture for image
    segmentation", section 3.

    Args:
        specs: the maps of the backbone.
        convolutions: convolutions of every level, coarse to fine, the head included.
    """

    head_kernel_size = 3

    def __init__(self, specs: Specs, convolutions: tuple[int, ...]) -> None:
        super().__init__()
        *coarser, finest = convolutions
        self.out_channels, self.out_stride = specs[0].channels, specs[0].stride
        self.path = UnpoolingPath(specs[-1].channels, specs, (*coarser, finest - 1), ConvNormActivation)
        initialize(self)

    def forward(self, features: Features, size: Size) -> Tensor:  # noqa: ARG002
        """Decode the coarsest map to one (N, out_channels, H / out_stride, W / out_stride)."""
        return self.path(features.maps[-1], features.pools)


def build_segnet(specs: Specs, *, convolutions: tuple[Annotated[int, Field(ge=1)], ...] | None = None) -> SegnetDecoder:
    """Build the SegNet decoder: convolutions behind every unpooling, coarse to fine; None: as many as VGG-16 has."""
    return SegnetDecoder(specs, mirrored_convolutions("segnet", specs, convolutions))


DECODERS.register("segnet")(DecoderEntry(build_segnet, "segkit", requires=frozenset({"pool_indices"})))
