"""What stands between the parts of a network: the maps of a backbone, as promised and as returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


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
