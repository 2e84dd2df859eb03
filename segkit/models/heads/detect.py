"""The head of boxes: a feature pyramid and an anchor-free detector on the maps of any backbone.

Lin et al., Feature Pyramid Networks for Object Detection, 2017; Tian et al., FCOS: Fully Convolutional One-Stage Object
Detection, 2019. The layers are torchvision's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from segkit.errors import UsageError
from segkit.models.config import Option
from segkit.models.features import Features, FeatureSpec
from segkit.models.options import check_options

FIRST_DISTANCE = 3.0
"""In strides, what an untrained head says of every side: about the middle of what a level learns.

At torchvision's 0 half of the places say nothing at all (the rectifier) and learn nothing at first: after eight passes
over the sample set the validation part's AP50 was 0.83, and 0.91 so.
"""


class DetectHead(nn.Module):
    """Features to class logits, boxes and centerness at the places of a pyramid.

    Args:
        specs: what the backbone declares.
        num_classes: classes of objects, there is no background among them.
        channels: of the pyramid and of the head, a multiple of 32 from 64 on: each of 32 groups is normalized, and of a
            map of one pixel a group of one channel could not be.
        convolutions: before the logits, in each of the two branches.
        finest_stride: maps of a smaller stride are not read.
        levels: maps of the pyramid; where the backbone has fewer, convolutions of stride 2 add coarser ones.

    Raises:
        UsageError: the backbone has no map of `finest_stride` or more.
    """

    def __init__(
        self,
        specs: Sequence[FeatureSpec],
        num_classes: int,
        channels: int,
        convolutions: int,
        finest_stride: int,
        levels: int,
    ) -> None:
        super().__init__()
        last_of = {spec.stride: index for index, spec in enumerate(specs) if spec.stride >= finest_stride}
        if not last_of:
            strides = ", ".join(str(spec.stride) for spec in specs)
            raise UsageError(
                f"the backbone has maps of strides {strides} and the head of boxes reads those of {finest_stride} or "
                f"more; take another backbone, or finest_stride={specs[-1].stride}"
            )
        self.indices = tuple(last_of.values())[:levels]
        added = levels - len(self.indices)
        used = [specs[index].stride for index in self.indices]
        self.strides = (*used, *(used[-1] << step for step in range(1, added + 1)))
        in_channels = [specs[index].channels for index in self.indices]
        self.pyramid = FeaturePyramidNetwork(in_channels, channels, _Coarser(channels, added) if added else None)
        self.detector = FCOSHead(channels, num_anchors=1, num_classes=num_classes, num_convs=convolutions)
        nn.init.constant_(self.detector.regression_head.bbox_reg.bias, FIRST_DISTANCE)

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Outputs at the A places of all levels, fine to coarse.

        `detect` (N, A, K) are logits, `detect/boxes` (N, A, 4) left, top, right and bottom in pixels of the images,
        `detect/centerness` (N, A) logits of how central a place is in its object. In training also `detect/places`
        (A, 3): x, y and stride.
        """
        maps = OrderedDict((str(index), features.maps[index]) for index in self.indices)
        pyramid = list(self.pyramid(maps).values())
        outputs = self.detector(pyramid)
        places = self._places(pyramid)
        distances = outputs["bbox_regression"].float() * places[:, 2:]
        centers = places[:, :2]
        boxes = torch.cat([centers - distances[..., :2], centers + distances[..., 2:]], dim=-1)
        found = {"detect": outputs["cls_logits"], "detect/boxes": boxes}
        found["detect/centerness"] = outputs["bbox_ctrness"].squeeze(2)
        return {**found, "detect/places": places} if self.training else found

    def _places(self, pyramid: Sequence[Tensor]) -> Tensor:
        """(A, 3) float32, x and y of the middle of every cell of the maps, and its stride (paper, section 3.1)."""
        levels = []
        for level, stride in zip(pyramid, self.strides, strict=True):
            height, width = level.shape[-2:]
            y, x = torch.meshgrid(
                (torch.arange(height, device=level.device, dtype=torch.float32) + 0.5) * stride,
                (torch.arange(width, device=level.device, dtype=torch.float32) + 0.5) * stride,
                indexing="ij",
            )
            levels.append(torch.stack([x.flatten(), y.flatten(), torch.full_like(x.flatten(), stride)], dim=1))
        return torch.cat(levels)


class _Coarser(ExtraFPNBlock):
    """Adds coarser maps to a pyramid, each a convolution of stride 2 of the one before (FCOS, section 3.2)."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, 2, 1) for _ in range(count))

    def forward(self, results: list[Tensor], x: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:  # noqa: ARG002
        """The pyramid's maps and names with those added."""
        level = results[-1]
        for number, convolution in enumerate(self.convolutions):
            level = convolution(level if number == 0 else torch.relu(level))
            results.append(level)
            names.append(f"added_{number}")
        return results, names


def build_detect_head(
    specs: Sequence[FeatureSpec],
    num_classes: int,
    *,
    channels: Annotated[int, Field(ge=64, multiple_of=32)] = 64,
    convolutions: Annotated[int, Field(ge=1)] = 2,
    finest_stride: Annotated[int, Field(ge=1)] = 8,
    levels: Annotated[int, Field(ge=1)] = 4,
) -> DetectHead:
    """The head with the options a user can set; see `DetectHead`.

    The paper has 256 channels, 4 convolutions and 5 levels: 7.3 thousand million multiply-adds for an image of 256 x
    256, against 0.3 by default, beside 1.0 of the plain backbone of width 32 at half the resolution.
    """
    return DetectHead(specs, num_classes, channels, convolutions, finest_stride, levels)


def check_detect_options(given: Mapping[str, Option]) -> dict[str, Any]:
    """All options of the head, the given ones checked; raises `UsageError`."""
    return check_options("head detect", build_detect_head, given)


def create_detect_head(specs: Sequence[FeatureSpec], num_classes: int, given: Mapping[str, Option]) -> DetectHead:
    """The head with the options given, checked; raises `UsageError`."""
    return build_detect_head(specs, num_classes, **check_detect_options(given))
