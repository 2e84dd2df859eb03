"""Mask R-CNN: objects one by one, each with its box and mask, in place of a map of classes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from segkit.models.decoders._base import DECODERS, DecoderEntry, Specs


def build_maskrcnn(
    specs: Specs,
    num_classes: int,
    *,
    channels: Annotated[int, Field(ge=8)] = 64,
    hidden: Annotated[int, Field(ge=8)] = 256,
    mask_convolutions: Annotated[int, Field(ge=1)] = 2,
    finest_stride: Annotated[int, Field(ge=1)] = 4,
    levels: Annotated[int, Field(ge=1)] = 4,
    anchor_sizes: tuple[Annotated[int, Field(ge=1)], ...] | None = None,
    proposals: Annotated[int, Field(ge=1)] = 500,
    regions: Annotated[int, Field(ge=4)] = 128,
) -> nn.Module:
    """Build the `MaskRcnnHead` over a feature pyramid, by default small enough to train from scratch on a CPU.

    The papers (He et al. 2017, section 3.1, with the pyramid of Lin et al. 2017) have 256 channels, 1024 hidden units,
    4 mask convolutions, anchors of 32 to 512 pixels on maps of strides 4 to 64, 1000 proposals (2000 in training) and
    512 regions.

    Args:
        specs: what the backbone declares.
        num_classes: background and the classes of objects.
        channels: of the pyramid and the masks' convolutions.
        hidden: units of the two layers that tell class and box of a region.
        mask_convolutions: before the mask of a region is upsampled.
        finest_stride: maps of a smaller stride are not read.
        levels: maps of the pyramid at most, from which regions are cut; one more, pooled, only proposes large ones.
        anchor_sizes: side in pixels of the anchors on each map, the pooled one included: 16x32x64x128x256. None: four
            strides, which suits objects of 10 to 100 pixels.
        proposals: of an image that the second stage looks at.
        regions: of an image that the second stage learns from, a quarter of them objects.

    Raises:
        UsageError: the backbone has no map of `finest_stride` or more, or the anchors are not one size per map.
    """
    from segkit.models.heads.maskrcnn import MaskRcnnHead, Sizes  # needs torchvision's detectors, as no other decoder

    sizes = Sizes(channels, hidden, mask_convolutions, finest_stride, levels, anchor_sizes, proposals, regions)
    return MaskRcnnHead(specs, num_classes, sizes)


DECODERS.register("maskrcnn")(DecoderEntry(build_maskrcnn, "segkit", scores_classes=True))
