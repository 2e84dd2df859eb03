"""Activations by name."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

ActivationName = Literal["relu", "leaky_relu", "prelu", "elu", "sigmoid", "tanh", "maxout"]


class Maxout(nn.Module):
    """The larger of every two neighbouring channels (Goodfellow et al. 2013, section 3)."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 2C, H, W) to (N, C, H, W)."""
        # Not through a fifth dimension, which would lose the channels-last layout.
        return torch.maximum(x[:, 0::2], x[:, 1::2])


def create_activation(name: ActivationName, channels: int) -> nn.Module:
    """The activation called `name` with its paper's default slope; the result has `channels` channels.

    `prelu` learns one slope per channel. `maxout` takes `input_channels(name, channels)` channels.
    """
    match name:
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU(0.01, inplace=True)
        case "prelu":
            return nn.PReLU(channels)
        case "elu":
            return nn.ELU(inplace=True)
        case "sigmoid":
            return nn.Sigmoid()
        case "tanh":
            return nn.Tanh()
        case "maxout":
            return Maxout()


def input_channels(name: ActivationName, channels: int) -> int:
    """Channels the activation `name` takes to give `channels`."""
    return 2 * channels if name == "maxout" else channels
