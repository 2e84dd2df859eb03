"""Fully convolutional networks: a classifier slid over the image, its scores refined by finer maps."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.decoders._base import DECODERS, Decoder, DecoderEntry, Specs
from segkit.models.features import Features
from segkit.models.layers.initialization import initialize
from segkit.models.layers.upsample import Size, Upsampling

STRIDES = (32, 16, 8)
"""Strides of the maps that are scored, coarse to fine; `fcn16s` stops at the second, `fcn32s` at the first."""

Hidden = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
KernelSize = Annotated[int, Field(ge=1)]


class ScoreUpsampling(Upsampling):
    """Doubling of a score map by a learned 4 x 4 transposed convolution that starts as bilinear interpolation.

    The map is first extended by its border, so that at the start the result is the interpolation everywhere, where a
    bare transposed convolution fades to zero; it is then cut to size. Such a crop exports to ONNX, which
    `ConvTranspose2d(output_size=...)` does not.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.convolution = nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, bias=False)
        with torch.no_grad():
            self.convolution.weight.copy_(bilinear_filters(channels))

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Double `x`, then cut to `size`, at most 3 pixels more than twice its own."""
        height, width = size
        doubled = self.convolution(functional.pad(x, (1, 2, 1, 2), mode="replicate"))
        # One pixel of the kernel reaches out, two come from the border in front.
        return doubled[..., 3 : 3 + height, 3 : 3 + width]


def bilinear_filters(channels: int) -> Tensor:
    """Filters (channels, channels, 4, 4) that let a transposed convolution of stride 2 interpolate each channel.

    Source: Long et al. 2015, section 3.3.
    """
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    return torch.eye(channels)[:, :, None, None] * torch.outer(line, line)


class FcnDecoder(Decoder):
    """Scores of the maps of stride 32, 16 and 8, added from coarse to fine; the head interpolates them to the image.

    The coarsest map passes the classifier of VGG as convolutions (fc6 7 x 7, fc7 1 x 1, each with ReLU and dropout).
    Sums are upsampled by learned transposed convolutions, the last step is fixed bilinear interpolation. The paper
    pads the image by 100 pixels and crops; here fc6 is padded, so that the maps line up. The classifier of AlexNet has
    an fc6 of 6 x 6 (`kernel_size=6`), whose window reaches one position further down and right than up and left.

    Trained at once, or in the paper's stages: `fcn32s`, then `fcn16s` and `fcn8s`, each started with the model before
    (`--weights PATH`). Names agree, so that only the new score layer and the new upsampling start new, and as they
    start with zeros and as interpolation, the network first gives the coarser prediction, upsampled. A trained
    classifier with the same fully connected layers gives its fc6 and fc7 as well as its backbone.

    Source: Long et al. 2015, "Fully convolutional networks for semantic segmentation", section 4; Shelhamer et al.
    2017, of the same name.

    Args:
        specs: the maps of the backbone.
        num_classes: channels of the scores.
        out_stride: stride of the finest map that is scored.
        hidden: channels of fc6 and fc7.
        kernel_size: height and width of fc6's windows.
    """

    gives_logits = True

    def __init__(
        self, specs: Specs, num_classes: int, out_stride: Literal[32, 16, 8], hidden: Hidden, kernel_size: int
    ) -> None:
        super().__init__()
        strides = STRIDES[: STRIDES.index(out_stride) + 1]
        self.levels = _levels(specs, strides)
        self.out_channels, self.out_stride = num_classes, out_stride
        inputs = [hidden[-1], *(specs[level].channels for level in self.levels[1:])]
        self.fc6 = nn.Conv2d(specs[self.levels[0]].channels, hidden[0], kernel_size, padding=kernel_size // 2)
        # An even kernel gives one row and column more than it takes.
        self.first = 1 - kernel_size % 2
        self.fc7 = nn.Conv2d(*hidden, kernel_size=1)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)
        initialize(self)
        # Keyed by stride: the same layer has the same name in all three networks.
        self.scores = nn.ModuleDict(
            {
                str(stride): _zero_convolution(channels, num_classes)
                for stride, channels in zip(strides, inputs, strict=True)
            }
        )
        self.upsamplings = nn.ModuleDict({str(stride): ScoreUpsampling(num_classes) for stride in strides[1:]})

    def forward(self, features: Features, size: Size) -> Tensor:  # noqa: ARG002
        """The logits (N, num_classes, H / out_stride, W / out_stride)."""
        coarsest, *finer = (features.maps[level] for level in self.levels)
        coarsest = self.fc6(coarsest)[..., self.first :, self.first :]
        coarsest = self.dropout(self.relu(coarsest))
        coarsest = self.dropout(self.relu(self.fc7(coarsest)))
        scores = self.scores["32"](coarsest)
        for (stride, upsampling), map_ in zip(self.upsamplings.items(), finer, strict=True):
            scores = upsampling(scores, (map_.shape[-2], map_.shape[-1])) + self.scores[stride](map_)
        return scores


def _levels(specs: Specs, strides: tuple[int, ...]) -> list[int]:
    """Positions in the specs of the maps of these strides; of equal strides the last."""
    positions = {spec.stride: level for level, spec in enumerate(specs)}
    if not positions.keys() >= set(strides):
        needed = " and ".join(", ".join(map(str, strides[::-1])).rsplit(", ", 1))
        given = ", ".join(str(spec.stride) for spec in specs)
        raise UsageError(
            f"decoder fcn{strides[-1]}s needs maps of stride {needed}; this backbone has {given}; 'vgg16' fits"
        )
    return [positions[stride] for stride in strides]


def _zero_convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 1 x 1 convolution of zeros (Long et al. 2015, section 4.3): it changes nothing until it has learned."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=1)
    nn.init.zeros_(convolution.weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution


def build_fcn32s(
    specs: Specs, num_classes: int, *, hidden: Hidden = (4096, 4096), kernel_size: KernelSize = 7
) -> FcnDecoder:
    """Build FCN-32s: channels of fc6 and fc7, height and width of fc6 (7 as in VGG; AlexNet has 6)."""
    return FcnDecoder(specs, num_classes, 32, hidden, kernel_size)


def build_fcn16s(
    specs: Specs, num_classes: int, *, hidden: Hidden = (4096, 4096), kernel_size: KernelSize = 7
) -> FcnDecoder:
    """Build FCN-16s: channels of fc6 and fc7, height and width of fc6 (7 as in VGG; AlexNet has 6)."""
    return FcnDecoder(specs, num_classes, 16, hidden, kernel_size)


def build_fcn8s(
    specs: Specs, num_classes: int, *, hidden: Hidden = (4096, 4096), kernel_size: KernelSize = 7
) -> FcnDecoder:
    """Build FCN-8s: channels of fc6 and fc7, height and width of fc6 (7 as in VGG; AlexNet has 6)."""
    return FcnDecoder(specs, num_classes, 8, hidden, kernel_size)


for _name, _build in (("fcn32s", build_fcn32s), ("fcn16s", build_fcn16s), ("fcn8s", build_fcn8s)):
    # The paper scores VGG's maps behind the pools.
    DECODERS.register(_name)(
        DecoderEntry(_build, "segkit", scores_classes=True, backbone_options={"pooled_maps": True})
    )
