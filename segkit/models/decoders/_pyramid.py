"""The levels smp's decoders expect, made from the maps of any backbone."""

from __future__ import annotations

from segkit.errors import UsageError
from segkit.models.decoders._base import Specs, halving_channels


class Pyramid:
    """One level per halving, from the image on: strides 1, 2, 4, ...

    The levels a backbone lacks are filled with empty maps (0 channels), as smp does for its transformers.

    Args:
        specs: the maps of the backbone.
        architecture: smp's name, for messages.
        finest: the largest stride the finest map may have.
        coarsest: the strides the coarsest map may have; where given, coarse maps may share it (dilated backbones).
        maps: the fewest maps.

    Attributes:
        channels: channels per level, 0 where the backbone has no map.
        strides: stride per level.
        empty_strides: strides of the levels the backbone has no map for.
        depth: levels below the image, smp's `encoder_depth`.

    Raises:
        UsageError: the strides do not fit `architecture`.
    """

    def __init__(
        self, specs: Specs, architecture: str, finest: int = 4, coarsest: tuple[int, ...] = (), maps: int = 2
    ) -> None:
        first, last = specs[0].stride, specs[-1].stride
        self.empty_strides = [2**level for level in range(first.bit_length() - 1)]
        self.channels = [0] * len(self.empty_strides) + [spec.channels for spec in specs]
        self.strides = self.empty_strides + [spec.stride for spec in specs]
        self.depth = len(self.strides) - 1
        doubling = [min(2**level, last) if coarsest else 2**level for level in range(self.depth + 1)]
        reaches = self.depth >= 3 and len(specs) >= maps and (not coarsest or last in coarsest)
        if self.strides != doubling or first > finest or not reaches:
            end = f" and end at {' or '.join(map(str, coarsest))}" if coarsest else ""
            given = ", ".join(str(spec.stride) for spec in specs)
            raise UsageError(
                f"decoder smp/{architecture} needs {maps} or more maps whose strides double, start at {finest} or less "
                f"and reach 8{end}; this backbone has {given}; 'smp/resnet34' fits"
            )

    def block_channels(self, given: tuple[int, ...] | None) -> tuple[int, ...]:
        """One number of channels per decoder block, coarse to fine: those given, else smp's."""
        channels = given or halving_channels(self.depth)
        if len(channels) != self.depth:
            raise UsageError(f"decoder option channels has {len(channels)} values; this backbone needs {self.depth}")
        return channels
