"""The block most networks are built of: convolution, normalization, activation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segkit.models.layers.activation import ActivationName, create_activation, input_channels
from segkit.models.layers.norm import NormName, create_norm, subtracts_mean


@dataclass(frozen=True)
class ConvStyle:
    """What follows a convolution, the same throughout a network.

    Attributes:
        norm: normalization, see `create_norm`.
        activation: see `create_activation`.
        weight_standardization: whether every filter is shifted and scaled to mean 0 and deviation 1 before use.
    """

    norm: NormName = "batch"
    activation: ActivationName = "relu"
    weight_standardization: bool = False


class StandardizedConv2d(nn.Conv2d):
    """Convolution whose filters are standardized in every pass.

    Source: Qiao et al. 2019, "Micro-batch training with batch-channel normalization and weight standardization",
    equations 5 to 7. Mean and (biased) standard deviation of a filter are taken over its input channels and positions.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the standardized filters."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        return self._conv_forward(x, (self.weight - mean) * torch.rsqrt(variance + 1e-5), self.bias)


class ConvNormActivation(nn.Sequential):
    """Convolution that keeps the size at stride 1, then normalization and activation as the style says.

    The convolution has a bias only where no normalization subtracts it. Local response normalization stands behind the
    activation, as in its paper (Krizhevsky et al. 2012, section 3.3).

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: height and width of the filters, odd.
        stride: step between positions.
        dilation: step between the taps of a filter.
        activated: whether the activation follows; blocks with a shortcut add first.
        style: normalization and activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        dilation: int = 1,
        activated: bool = True,
        style: ConvStyle = ConvStyle(),
    ) -> None:
        convolved = input_channels(style.activation, out_channels) if activated else out_channels
        convolution = StandardizedConv2d if style.weight_standardization else nn.Conv2d
        layers = [create_norm(style.norm, convolved)]
        if activated:
            layers.insert(0 if style.norm == "local_response" else 1, create_activation(style.activation, out_channels))
        super().__init__(
            convolution(
                in_channels,
                convolved,
                kernel_size,
                stride,
                padding=dilation * (kernel_size // 2),
                dilation=dilation,
                bias=not subtracts_mean(style.norm),
            ),
            *layers,
        )


def double_convolution(in_channels: int, out_channels: int, style: ConvStyle = ConvStyle()) -> nn.Sequential:
    """Two 3 x 3 blocks, one level of the U-Net (Ronneberger et al. 2015, figure 1; padded here)."""
    return nn.Sequential(
        ConvNormActivation(in_channels, out_channels, style=style),
        ConvNormActivation(out_channels, out_channels, style=style),
    )


def valid_double_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3 x 3 convolutions with bias and ReLU, not padded: the map loses two pixels on each side (ibid.)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3),
        nn.ReLU(inplace=True),
    )
