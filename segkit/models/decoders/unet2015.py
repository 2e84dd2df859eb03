"""The expanding path of the U-Net of 2015: up-convolution, copy and crop, valid convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segkit.models.decoders._base import DECODERS, Decoder, DecoderEntry, Specs
from segkit.models.features import Features
from segkit.models.layers.conv import valid_double_convolution
from segkit.models.layers.initialization import initialize
from segkit.models.layers.upsample import Size


class Unet2015Block(nn.Module):
    """Double the map, put the middle of the skip in front of it, convolve twice without padding."""

    def __init__(self, in_channels: int, skip_channels: int) -> None:
        super().__init__()
        self.upsampling = nn.ConvTranspose2d(in_channels, skip_channels, kernel_size=2, stride=2)
        self.convolutions = valid_double_convolution(2 * skip_channels, skip_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """A map (N, in_channels, h, w) and its skip to a map (N, skip_channels, 2h - 4, 2w - 4)."""
        x = self.upsampling(x)
        return self.convolutions(torch.cat([_middle(skip, (x.shape[-2], x.shape[-1])), x], dim=1))


class Unet2015Decoder(Decoder):
    """One block per finer map.

    With d levels the network loses 6 * 2**(d - 1) - 4 pixels on each side (`margin`), and what is left is a multiple of
    2**(d - 1) plus 4: at the paper's depth of 5, 92 pixels and 16k + 4, for example 572 x 572 to 388 x 388.
    Derivation: each level convolves twice on the way down and, but for the coarsest, twice on the way up; every
    convolution of the level with stride s loses s pixels of the image on each side.

    Source: Ronneberger et al. 2015, "U-Net", figure 1 and section 2. Up-convolutions, which no ReLU follows there,
    start from the paper's N(0, sqrt(2 / N)) as well, N being their input channels: one tap feeds each output pixel.
    """

    def __init__(self, specs: Specs) -> None:
        super().__init__()
        coarsest = specs[-1].stride
        self.out_channels, self.out_stride = specs[0].channels, specs[0].stride
        self.margin = 6 * coarsest - 4
        self.stride_remainder = 4 % coarsest
        self.blocks = nn.ModuleList(
            Unet2015Block(coarse.channels, fine.channels)
            for coarse, fine in zip(specs[:0:-1], specs[-2::-1], strict=True)
        )
        initialize(self)
        for layer in self.modules():
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=(2 / layer.in_channels) ** 0.5)

    def forward(self, features: Features, size: Size) -> Tensor:  # noqa: ARG002, it follows from the maps
        """Decode the features of images of `size` (H, W) and a margin around it to a map (N, out_channels, H, W)."""
        x, *skips = reversed(features.maps)
        for block, skip in zip(self.blocks, skips, strict=True):
            x = block(x, skip)
        return x


def _middle(map_: Tensor, size: Size) -> Tensor:
    top, left = ((have - wanted) // 2 for have, wanted in zip(map_.shape[-2:], size, strict=True))
    return map_[..., top : top + size[0], left : left + size[1]]


def build_unet2015(specs: Specs) -> Unet2015Decoder:
    """Build the decoder of the U-Net of 2015; its levels and channels are the backbone's."""
    return Unet2015Decoder(specs)


DECODERS.register("unet2015")(DecoderEntry(build_unet2015, "segkit", requires=frozenset({"valid_convolutions"})))
