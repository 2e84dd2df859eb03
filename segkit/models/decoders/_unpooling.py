"""The mirror image of a VGG: unpooling with the indices of the backbone's pools, convolutions behind each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.models.decoders._base import Specs
from segkit.models.features import Pool
from segkit.models.layers.upsample import MaxUnpooling


class UnpoolingPath(nn.Module):
    """One stage per pool, coarse to fine: unpool, then convolve to the channels of the next finer pool.

    Args:
        in_channels: channels of the map that comes in, of the size behind the last pool.
        specs: the maps of the backbone; pool i has the channels of map i.
        convolutions: convolutions of every stage, coarse to fine; those of the last one keep the channels.
        block: a convolution with what follows it, from channels in and out.
    """

    def __init__(
        self, in_channels: int, specs: Specs, convolutions: Sequence[int], block: Callable[[int, int], nn.Module]
    ) -> None:
        super().__init__()
        pooled = [spec.channels for spec in reversed(specs[:-1])]
        self.unpoolings = nn.ModuleList(
            MaxUnpooling(before, channels) for before, channels in zip((in_channels, *pooled[1:]), pooled, strict=True)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(block(channels, channels if rest else after) for rest in reversed(range(count))))
            for channels, after, count in zip(pooled, (*pooled[1:], pooled[-1]), convolutions, strict=True)
        )

    def forward(self, x: Tensor, pools: Sequence[Pool]) -> Tensor:
        """Undo the `pools`, given from fine to coarse."""
        for unpooling, stage, pool in zip(self.unpoolings, self.stages, reversed(pools), strict=True):
            x = stage(unpooling(x, pool))
        return x


def mirrored_convolutions(decoder: str, specs: Specs, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """Convolutions behind every unpooling, coarse to fine: those given, else those of VGG-16's stages.

    VGG-16 has two at either of the two finest levels and three at the others. Raises `UsageError` where the backbone
    has no pool, or another number of pools than there are values.
    """
    pools = len(specs) - 1
    if not pools:
        raise UsageError(f"decoder {decoder} needs two maps or more with a pool between; this backbone has one map")
    convolutions = given or tuple(2 if level < 2 else 3 for level in reversed(range(pools)))
    if len(convolutions) != pools:
        raise UsageError(
            f"decoder option convolutions has {len(convolutions)} values; this backbone needs {pools}, one per pool"
        )
    return convolutions
