"""What a decoder is: feature maps to one map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from segkit.models.config import Option
from segkit.models.features import Features, FeatureSpec
from segkit.registry import Registry

Specs = Sequence[FeatureSpec]


class Decoder(nn.Module):
    """`Features` to one map (N, out_channels, H / out_stride, W / out_stride); built from the specs alone.

    Attributes:
        out_channels: channels of the map.
        out_stride: pixels of the image per pixel of the map.
        stride_multiple: sides of the image must be multiples of this, besides the backbone's own multiple.
        stride_remainder: pixels that sides of the image must have beyond such a multiple.
        margin: pixels of the image lost on each side; above 0 only over backbones with `valid_convolutions`.
        head_kernel_size: kernel of the convolution that turns the map into logits.
        head_align_corners: whether the logits are interpolated between the centres of the corner pixels.
        gives_logits: whether the map is the logits, which the head then only brings to the image's size.
    """

    out_channels: int
    out_stride: int
    stride_multiple: int = 1
    stride_remainder: int = 0
    margin: int = 0
    head_kernel_size: int = 1
    head_align_corners: bool = False
    gives_logits: bool = False

    def forward(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Decode the features of images of the given size (H, W), their margin not counted."""
        raise NotImplementedError


@dataclass(frozen=True)
class DecoderEntry:
    """A decoder that can be built.

    Attributes:
        build: function (specs, *, typed options) to `Decoder`; raises `UsageError` for specs it cannot work on.
            Where the decoder gives logits (`scores_classes`), the number of classes is its second argument. Of
            `OBJECT_DECODERS` it builds the head of instances.
        family: the library it comes from.
        requires: capabilities the backbone must have.
        option_requires: capabilities the backbone must have where an option has a value.
        scores_classes: whether the decoder itself maps to classes, as FCN, ENet and Mask R-CNN do.
        backbone_options: options the architecture sets on a backbone of its own family, unless the user does.
    """

    build: Callable[..., nn.Module]
    family: str
    requires: frozenset[str] = frozenset()
    option_requires: Mapping[tuple[str, Option], frozenset[str]] = field(default_factory=dict)
    scores_classes: bool = False
    backbone_options: Mapping[str, Option] = field(default_factory=dict)

    def requirements(self, options: Mapping[str, Option]) -> frozenset[str]:
        """The capabilities a backbone must have under these options."""
        return self.requires.union(*(needs for item, needs in self.option_requires.items() if item in options.items()))


def halving_channels(count: int) -> tuple[int, ...]:
    """Channels of `count` decoder blocks, coarse to fine: halving from 256, at least 16, as in smp."""
    return tuple(max(256 >> block, 16) for block in range(count))


DECODERS: Registry[DecoderEntry] = Registry("decoder", "segkit.models.decoders")
