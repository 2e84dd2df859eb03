"""Normalization layers by name; every one learns a scale and a shift per channel."""

from __future__ import annotations

from math import gcd
from typing import Literal

from torch import nn

NormName = Literal["batch", "layer", "instance", "group", "none"]

GROUPS = 32
"""Groups of group normalization (Wu and He 2018, section 4.1); fewer where the channels cannot be shared evenly."""


def create_norm(name: NormName, channels: int) -> nn.Module:
    """The normalization called `name` of maps (N, channels, H, W).

    All subtract a mean and divide by a standard deviation (biased, 1e-5 added to the variance). They differ in what
    those are taken over:

    - `batch`: N, H, W, for each channel (Ioffe and Szegedy 2015). Prediction uses running estimates, so there are four
      numbers per channel: scale, shift, mean and variance. torch adds the *unbiased* variance to the running one, as
      the paper does (algorithm 2), and moves the running estimates by `momentum` = 0.1 of each batch; lectures that
      keep a share alpha of the old estimate call the same alpha = 0.9.
    - `layer`: C, H, W, for each image (Ba et al. 2016).
    - `instance`: H, W, for each image and channel (Ulyanov et al. 2016). Written as a group normalization with one
      channel per group, which is the same function and also takes maps of one pixel.
    - `group`: H, W and the channels of a group, for each image (Wu and He 2018).
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
        case "none":
            return nn.Identity()
