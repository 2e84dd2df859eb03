"""The block most networks are built of: convolution, normalization, activation."""

from __future__ import annotations

from torch import nn


class ConvNormActivation(nn.Sequential):
    """Convolution that keeps the size at stride 1, batch normalization, ReLU.

    The convolution has no bias: the normalization that follows would subtract it (Ioffe and Szegedy 2015, section 3.2).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


def double_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3 x 3 blocks, one level of the U-Net (Ronneberger et al. 2015, figure 1; padded here)."""
    return nn.Sequential(ConvNormActivation(in_channels, out_channels), ConvNormActivation(out_channels, out_channels))
