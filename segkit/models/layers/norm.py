"""Normalization layers by name."""

from __future__ import annotations

from math import gcd
from typing import Literal

from torch import nn

from segkit.models.layers.lrn import LocalResponseNorm

NormName = Literal["batch", "layer", "instance", "group", "local_response", "none"]

GROUPS = 32
"""Groups of group normalization (Wu and He 2018, section 4.1); fewer where the channels cannot be shared evenly."""


def subtracts_mean(name: NormName) -> bool:
    """Whether a bias in front of the normalization would be subtracted again (Ioffe and Szegedy 2015, section 3.2)."""
    return name not in ("local_response", "none")


def create_norm(name: NormName, channels: int) -> nn.Module:
    """The normalization called `name` of maps (N, channels, H, W).

    The first four subtract a mean, divide by a standard deviation (biased, 1e-5 added to the variance) and learn a
    scale and a shift per channel. They differ in what mean and deviation are taken over:

    - `batch`: N, H, W, for each channel (Ioffe and Szegedy 2015). Prediction uses running estimates, so there are four
      numbers per channel: scale, shift, mean and variance. torch adds the *unbiased* variance to the running one, as
      the paper does (algorithm 2), and moves the running estimates by `momentum` = 0.1 of each batch; lectures that
      keep a share alpha of the old estimate call the same alpha = 0.9.
    - `layer`: C, H, W, for each image (Ba et al. 2016).
    - `instance`: H, W, for each image and channel (Ulyanov et al. 2016). Written as a group normalization with one
      channel per group, which is the same function and also takes maps of one pixel.
    - `group`: H, W and the channels of a group, for each image (Wu and He 2018).
    - `local_response`: five neighbouring channels, for each position, with the constants of Krizhevsky et al. 2012; see
      `LocalResponseNorm`. It subtracts no mean and learns nothing.
    - `none`: nothing.
    """
    match name:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":
            return nn.GroupNorm(1, channels)
        case "instance":
            return nn.GroupNorm(channels, channels)
        case "group":
            return nn.GroupNorm(gcd(GROUPS, channels), channels)
        case "local_response":
            return LocalResponseNorm()
        case "none":
            return nn.Identity()
