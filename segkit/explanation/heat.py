"""Which parts of an image an answer rests on: Grad-CAM and occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.explanation.subject import Subject, listening_to_maps
from segkit.ops.sizes import crop
from segkit.structures import Progress

_BATCH = 8
_PATCHES_PER_SIDE = 8


@dataclass(frozen=True)
class Heat:
    """How much every pixel matters to one class.

    Attributes:
        values: (H, W) over the image, 0 to 1.
        peak: what 1 stands for.
    """

    values: NDArray[np.float32]
    peak: float


def likely_classes(subject: Subject, count: int) -> list[int]:
    """The classes an image is explained for: the most probable, or those of most pixels, the background last."""
    with torch.no_grad():
        logits = subject.logits(subject.batch)[0]
    if not subject.has_maps:
        return [int(index) for index in logits.argsort(descending=True)[:count]]
    pixels = torch.bincount(logits.argmax(dim=0).flatten(), minlength=len(subject.names))
    order = [int(index) for index in pixels.argsort(descending=True, stable=True) if pixels[index] > 0]
    return sorted(order, key=lambda index: index == subject.classes.background)[:count]


def grad_cam(subject: Subject, class_index: int) -> Heat:
    """The maps of the backbone's last level, weighted by how much their mean gradient moves the class.

    The score that is differentiated is the logit of the class (Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2);
    of maps its sum over the pixels that the network gives to the class (Vinogradova et al. 2020, "Towards interpretable
    semantic segmentation via gradient-weighted class activation mapping", equation 2), of boxes that of the surest
    place. Negative parts are left out.
    """
    with listening_to_maps(subject.network) as heard:
        logits = subject.logits(subject.batch.clone().requires_grad_())[0]
    coarsest = heard[0][-1]
    score = logits[class_index]
    if subject.has_maps:
        score = score[logits.argmax(dim=0) == class_index].sum()
    gradient = torch.autograd.grad(score, coarsest)[0]
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    map_ = (weights * coarsest).sum(dim=1)[0].relu().detach().cpu().numpy()
    return _scaled(subject.within_image(_over_batch(map_, subject)))


def _over_batch(map_: NDArray[np.float32], subject: Subject) -> NDArray[np.float32]:
    """A map (h, w) of the backbone's last level, enlarged to where its units lie on the batch.

    They cover what the network mirrored on as well. Where layers without padding lost the border, the units lie in the
    middle, one stride apart, and the outermost stand for what is beyond them.
    """
    padding, stride = subject.padding, subject.network.backbone.specs[-1].stride
    top, bottom, left, right = padding
    height, width = subject.batch.shape[-2] + top + bottom, subject.batch.shape[-1] + left + right
    rows, columns = (min(units * stride, side) for units, side in zip(map_.shape, (height, width), strict=True))
    enlarged = cv2.resize(map_, (columns, rows), interpolation=cv2.INTER_LINEAR)
    above, before = (height - rows) // 2, (width - columns) // 2
    lost = ((above, height - rows - above), (before, width - columns - before))
    return crop(np.pad(enlarged, lost, mode="edge"), padding)


@torch.no_grad()
def occlusion(subject: Subject, class_indices: Sequence[int], progress: Progress | None = None) -> list[Heat]:
    """For each class, how far its probability falls where a patch of the mean colour covers the image.

    Of maps it is the mean probability over the pixels that the network gives to the class, of boxes that of the surest
    place. The patch has an
    eighth of the longer side, and moves by half of itself; each pixel has the mean of the patches that cover it.
    Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.
    """
    height, width = subject.batch.shape[-2:]
    before = subject.logits(subject.batch).float()
    decided = before.argmax(dim=1)[0]
    probabilities = _means(subject.probabilities(before), decided, class_indices)
    side = max(max(height, width) // _PATCHES_PER_SIDE, 2)
    at_once = max(1, min(_BATCH, subject.whole_limit // (height * width)))
    corners = [(top, left) for top in _starts(height, side) for left in _starts(width, side)]
    falls, covered = np.zeros((len(class_indices), height, width), np.float32), np.zeros((height, width), np.float32)
    for begin in range(0, len(corners), at_once):
        some = corners[begin : begin + at_once]
        occluded = subject.batch.repeat(len(some), 1, 1, 1)
        for image, (top, left) in zip(occluded, some, strict=True):
            image[:, top : top + side, left : left + side] = 0  # the mean colour, once normalized
        occluded_means = _means(subject.probabilities(subject.logits(occluded).float()), decided, class_indices)
        fallen = probabilities - occluded_means
        for fall, (top, left) in zip(fallen.cpu().numpy(), some, strict=True):
            falls[:, top : top + side, left : left + side] += fall[:, None, None]
            covered[top : top + side, left : left + side] += 1
        if progress is not None:
            progress(begin + len(some), len(corners))
    return [_scaled(subject.within_image(fall / covered)) for fall in falls]


def _starts(length: int, side: int) -> list[int]:
    """Where patches begin, by half a side, the last one at the border."""
    last = max(length - side, 0)
    return sorted({*range(0, last, max(side // 2, 1)), last})


def _means(probabilities: Tensor, decided: Tensor, class_indices: Sequence[int]) -> Tensor:
    """Of the classes asked for (N, classes); of maps the means over the pixels `decided` for each class."""
    if decided.ndim == 0:
        return probabilities[:, list(class_indices)]
    return torch.stack([probabilities[:, index][:, decided == index].mean(dim=1) for index in class_indices], dim=1)


def _scaled(values: NDArray[np.float32]) -> Heat:
    peak = max(float(values.max()), 0.0)
    return Heat((values.clip(min=0) / (peak or 1)).astype(np.float32), peak)
