"""What a backbone is: images to feature maps of growing stride."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import lcm
from typing import NamedTuple

from torch import Tensor, nn

from segkit.registry import Registry


@dataclass(frozen=True)
class FeatureSpec:
    """What a backbone promises about one map: its channels, and the pixels of the image per pixel of the map."""

    channels: int
    stride: int


class Pool(NamedTuple):
    """What max unpooling needs of one pool: indices (N, C, h, w) of the maxima, and the size (H, W) before it."""

    indices: Tensor
    size: tuple[int, int]

    @property
    def channels(self) -> int:
        """Channels that went through the pool."""
        return self.indices.shape[1]


class Features(NamedTuple):
    """What a backbone returns.

    Attributes:
        maps: one map (N, C, h, w) per spec, fine to coarse.
        pools: pools from fine to coarse, only of backbones with the capability `pool_indices`.
        auxiliary: side outputs by name.
    """

    maps: tuple[Tensor, ...]
    pools: tuple[Pool, ...] = ()
    auxiliary: Mapping[str, tuple[Tensor, ...]] = {}


class Backbone(nn.Module):
    """Images (N, in_channels, H, W) to `Features`. |h - H / stride| <= 1 holds for every map.

    Attributes:
        specs: channels and stride of every map, fine to coarse.
        capabilities: what this instance offers beyond maps, for example `pool_indices`.
    """

    specs: tuple[FeatureSpec, ...]
    capabilities: frozenset[str] = frozenset()

    @property
    def stride_multiple(self) -> int:
        """Images whose sides are multiples of this give maps of exactly side / stride."""
        return lcm(*(spec.stride for spec in self.specs))

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        raise NotImplementedError

    def fetch_weights(self, name: str) -> dict[str, Tensor]:
        """The state dict of the published weights `name`, fitted to this backbone's channels; asks the network.

        Raises `SegkitError` when they cannot be fetched.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class BackboneEntry:
    """A backbone that can be built.

    Attributes:
        build: function (in_channels, *, typed options) to `Backbone`.
        family: the library it comes from.
        capabilities: what its instances offer with default options.
        published_weights: names of the pretrained weights that can be fetched for it.
    """

    build: Callable[..., Backbone]
    family: str
    capabilities: frozenset[str] = frozenset()
    published_weights: tuple[str, ...] = ()


BACKBONES: Registry[BackboneEntry] = Registry("backbone", "segkit.models.backbones")
