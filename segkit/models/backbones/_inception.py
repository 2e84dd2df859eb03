"""What GoogLeNet and Inception v3 share: parallel branches, and a classifier with side classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.models.features import Features
from segkit.models.heads.classify import ClassifyHead
from segkit.models.layers.initialization import initialize, initialize_head

SIDE_MAPS = "classifiers"
"""The name in `Features.auxiliary` of the maps that side classifiers look at."""


class Branches(nn.ModuleList):
    """Layers side by side: their maps of one input, concatenated."""

    def forward(self, x: Tensor) -> Tensor:
        """A map (N, C, h, w) to the maps of all branches, one behind the other."""
        return torch.cat([branch(x) for branch in self], dim=1)


class InceptionHead(ClassifyHead):
    """Global average pooling, dropout, a linear layer, and classifiers on maps half way for training.

    Args:
        in_channels: channels of the backbone's last map.
        num_classes: number of logits.
        dropout: share of the pooled values dropped in training.
        smallest_image: the least side the side classifiers can work on.
        side_classifiers: side map to logits (N, K, h, w), which are averaged over all positions, as in
            `FullyConnectedHead`.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        dropout: float,
        smallest_image: int,
        side_classifiers: Sequence[nn.Sequential],
    ) -> None:
        super().__init__()
        self.smallest_image = smallest_image
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_channels, num_classes)
        initialize_head(self)
        self.side_classifiers = nn.ModuleList(side_classifiers)
        for classifier in side_classifiers:
            initialize(classifier)
            initialize_head(classifier[-1])

    def forward(self, features: Features) -> Tensor:
        """The last map (N, C, h, w) to logits (N, K)."""
        return self.linear(self.dropout(features.maps[-1].mean(dim=(2, 3))))

    def auxiliary(self, features: Features) -> tuple[Tensor, ...]:
        """Logits (N, K) of the side classifiers, from fine to coarse."""
        pairs = zip(self.side_classifiers, features.auxiliary[SIDE_MAPS], strict=True)
        return tuple(classifier(map_).mean(dim=(2, 3)) for classifier, map_ in pairs)


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int],
    stride: int = 1,
    *,
    padded: bool = True,
    normalized: bool = True,
) -> nn.Sequential:
    """Convolution, batch normalization if `normalized` (with 1e-3 in place of 1e-5, as Inception v3 has it), ReLU."""
    height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    padding = (height // 2, width // 2) if padded else 0
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, (height, width), stride, padding, bias=not normalized)
    ]
    if normalized:
        layers.append(nn.BatchNorm2d(out_channels, eps=1e-3))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def for_usual_input(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weight (out, 3, h, w) of a first convolution for images of torchvision's usual normalization.

    The published weights of GoogLeNet and Inception v3 expect values from -1 to 1, into which torchvision turns its
    usual input, x = (value - mean) / std, when it builds these networks with published weights. The scale of that goes
    into the weight. Returned with it is what must be subtracted from the channels of x.
    """
    mean, std = weight.new_tensor([0.485, 0.456, 0.406]), weight.new_tensor([0.229, 0.224, 0.225])
    return weight * (std / 0.5)[:, None, None], (0.5 - mean) / std


def folded_mean(weight: Tensor, input_mean: Tensor, running_mean: Tensor) -> Tensor:
    """The running mean behind a first convolution whose input `input_mean` is no longer subtracted from.

    This is exact but where the convolution reaches beyond the image and meets 0 in place of the mean.
    """
    return running_mean + torch.einsum("ochw,c->o", weight, input_mean)
