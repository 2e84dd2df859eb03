"""The expanding path of the U-Net over any backbone."""

from __future__ import annotations

from itertools import zip_longest
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.models.decoders._base import DECODERS, Decoder, DecoderEntry, Specs, halving_channels
from segkit.models.features import Features, FeatureSpec, Pool
from segkit.models.layers.conv import double_convolution
from segkit.models.layers.initialization import initialize
from segkit.models.layers.upsample import MaxUnpooling, Size, UpsamplingName, create_upsampling


class UnetBlock(nn.Module):
    """Upsample to the size of the skip, concatenate the skip, convolve twice."""

    def __init__(
        self, in_channels: int, skip_channels: int, out_channels: int, factor: int, upsample: UpsamplingName
    ) -> None:
        super().__init__()
        upsampled_channels = skip_channels if upsample == "max_unpool" else out_channels
        self.upsampling = create_upsampling(upsample, in_channels, upsampled_channels, factor)
        self.convolutions = double_convolution(self.upsampling.out_channels + skip_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor | None, size: Size, pool: Pool | None) -> Tensor:
        """Bring `x` to `size`, through `pool` where it is unpooled, and merge it with the `skip` of that size."""
        x = self.upsampling(x, pool if isinstance(self.upsampling, MaxUnpooling) else size)
        return self.convolutions(x if skip is None else torch.cat([x, skip], dim=1))


class UnetDecoder(Decoder):
    """One block per finer map, then, where the finest is too coarse, blocks without a skip.

    Source: Ronneberger et al. 2015, "U-Net", figure 1, with padded convolutions and batch normalization.

    Args:
        specs: the maps of the backbone.
        upsample: how a map grows; the paper's is `transposed`. `max_unpool` takes the backbone's pools, whose channels
            are those of the skips.
        channels: channels of the blocks, coarse to fine; None: halving from 256, never more than the skip's.
        out_stride: pixels of the image per pixel of the decoded map; finer maps of the backbone are not used.
    """

    def __init__(
        self, specs: Specs, upsample: UpsamplingName, channels: tuple[int, ...] | None, out_stride: int
    ) -> None:
        super().__init__()
        coarsest, *targets = _targets(specs, out_stride)
        if upsample == "max_unpool" and not targets[-1].channels:
            raise UsageError(
                f"decoder option out_stride={out_stride}: max_unpool ends at the backbone's finest map; "
                f"use out_stride={specs[0].stride}"
            )
        channels = channels or _default_channels(targets)
        if len(channels) != len(targets):
            raise UsageError(f"decoder option channels has {len(channels)} values; this backbone needs {len(targets)}")
        self.out_channels, self.out_stride = channels[-1], targets[-1].stride
        self.strides = [target.stride for target in targets]
        blocks: list[UnetBlock] = []
        before, stride = coarsest.channels, coarsest.stride
        for target, out_channels in zip(targets, channels, strict=True):
            blocks.append(UnetBlock(before, target.channels, out_channels, stride // target.stride, upsample))
            before, stride = out_channels, target.stride
        self.blocks = nn.ModuleList(blocks)
        initialize(self)

    def forward(self, features: Features, size: Size) -> Tensor:
        """Decode the features of images of `size` (H, W) to a map (N, out_channels, H / out_stride, W / out_stride)."""
        x, *skips = list(reversed(features.maps))[: len(self.blocks) + 1]
        pools = list(reversed(features.pools))[: len(self.blocks)]
        for block, stride, skip, pool in zip_longest(self.blocks, self.strides, skips, pools):
            height, width = (-(-side // stride) for side in size) if skip is None else skip.shape[-2:]
            x = block(x, skip, (height, width), pool)
        return x


def _targets(specs: Specs, out_stride: int) -> list[FeatureSpec]:
    """The maps from coarse to fine, then levels without a skip (0 channels), down to `out_stride`."""
    targets = [spec for spec in reversed(specs) if spec.stride >= out_stride]
    if len(targets) < 2 and not (targets and targets[-1].stride > out_stride):
        if len(specs) == 1 and specs[0].stride == 1:
            raise UsageError(
                "decoder unet needs two maps or more; this backbone has one; put a P into the pattern, or use another "
                "backbone"
            )
        largest = specs[0].stride if len(specs) > 1 else specs[0].stride // 2
        raise UsageError(f"decoder option out_stride={out_stride} leaves nothing to decode; use {largest}")
    while (stride := targets[-1].stride) > out_stride:
        targets.append(FeatureSpec(0, max(stride // 2 if stride % 2 == 0 else 1, out_stride)))
    return targets


def _default_channels(targets: Specs) -> tuple[int, ...]:
    limits = halving_channels(len(targets))
    return tuple(min(limit, target.channels or limit) for limit, target in zip(limits, targets, strict=True))


def build_unet(
    specs: Specs,
    *,
    upsample: UpsamplingName = "transposed",
    channels: tuple[int, ...] | None = None,
    out_stride: Annotated[int, Field(ge=1)] = 1,
) -> UnetDecoder:
    """Build the U-Net decoder: how it upsamples, channels of its blocks from coarse to fine, stride of its map."""
    return UnetDecoder(specs, upsample, channels, out_stride)


DECODERS.register("unet")(
    DecoderEntry(build_unet, "segkit", option_requires={("upsample", "max_unpool"): frozenset({"pool_indices"})})
)
