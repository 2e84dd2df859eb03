"""The effective receptive field: how much of what a unit could see it listens to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.explanation.subject import Subject, listening_to_maps

SHARE = 1 - 0.9545
"""A pixel counts whose gradient is above this share of the largest: where a Gaussian is two deviations wide."""


@dataclass(frozen=True)
class EffectiveField:
    """The effective receptive field of the centre unit of one map.

    Attributes:
        name: the map.
        channels: its channels.
        stride: pixels of the image per pixel of the map.
        size: square root of the number of pixels that count.
        gradient: (H, W) over the image, absolute values, the channels of the image added.
    """

    name: str
    channels: int
    stride: int
    size: float
    gradient: NDArray[np.float32]


def effective_fields(subject: Subject) -> list[EffectiveField]:
    """The effective fields of every map of the backbone and, for segmentation, of the logits, on one image.

    The gradient of the centre unit, its channels added, with respect to the image. The size is the square root of the
    number of pixels whose gradient is above 4.55 % of the largest (Luo et al. 2016, "Understanding the effective
    receptive field in deep convolutional neural networks", section 4.1; there averaged over images).
    """
    batch = subject.batch.clone().requires_grad_()
    with listening_to_maps(subject.network) as heard:
        logits = subject.logits(batch)
    found = [
        _field(f"map {number}", map_, spec.stride, batch, subject)
        for number, (map_, spec) in enumerate(zip(heard[0], subject.network.backbone.specs, strict=True), start=1)
    ]
    if subject.has_maps:
        found.append(_field("logits", logits, 1, batch, subject))
    return found


def _field(name: str, map_: Tensor, stride: int, batch: Tensor, subject: Subject) -> EffectiveField:
    centre = map_[0, :, map_.shape[2] // 2, map_.shape[3] // 2].sum()
    gradient = torch.autograd.grad(centre, batch, retain_graph=True)[0]
    size, absolute = effective_size(gradient[0].abs().sum(dim=0))
    return EffectiveField(name, map_.shape[1], stride, size, subject.within_image(absolute))


def effective_size(gradient: Tensor) -> tuple[float, NDArray[np.float32]]:
    """The size of an absolute gradient (H, W), and the gradient itself as an array."""
    absolute: NDArray[np.float32] = gradient.detach().cpu().numpy()
    largest = absolute.max()
    counted = (absolute > SHARE * largest).sum() if largest > 0 else 0
    return float(np.sqrt(counted)), absolute
