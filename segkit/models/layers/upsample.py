"""Upsampling, always to a size: that of the skip or of the input, never by a factor."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Size = tuple[int, int]
"""Height and width in pixels."""

UpsamplingName = Literal["nearest", "bilinear", "transposed"]


class Upsampling(nn.Module):
    """A map (N, in_channels, h, w) and a size (H, W) to a map (N, out_channels, H, W)."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Bring the map `x` to the height and width of `size`."""
        raise NotImplementedError


class Interpolation(Upsampling):
    """Nearest or bilinear interpolation between pixel centres; the number of channels stays."""

    def __init__(self, channels: int, mode: Literal["nearest", "bilinear"]) -> None:
        super().__init__(channels)
        self.mode = mode

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Interpolate `x` to `size`."""
        return functional.interpolate(x, size=size, mode=self.mode)


class TransposedConvolution(Upsampling):
    """Learned upsampling: one `factor` x `factor` patch per pixel (the "up-convolution" of Ronneberger et al. 2015).

    Where an odd size was rounded on the way down, the map is extended by its border or cropped. Unlike
    `ConvTranspose2d(output_size=...)` this exports to ONNX.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__(out_channels)
        self.factor = factor
        self.convolution = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=factor, stride=factor)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Upsample `x` by the factor, then cut to `size`."""
        height, width = size
        rows, columns = (-(-length // self.factor) - have for length, have in zip(size, x.shape[-2:], strict=True))
        if rows > 0 or columns > 0:
            x = functional.pad(x, (0, max(columns, 0), 0, max(rows, 0)), mode="replicate")
        return self.convolution(x)[..., :height, :width]


def create_upsampling(name: UpsamplingName, in_channels: int, out_channels: int, factor: int) -> Upsampling:
    """The upsampling called `name`; only a transposed convolution changes the channels to `out_channels`."""
    if name == "transposed":
        return TransposedConvolution(in_channels, out_channels, factor)
    return Interpolation(in_channels, name)
