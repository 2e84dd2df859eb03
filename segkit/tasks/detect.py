"""Detection: boxes of objects and their classes.

Tian et al., FCOS: Fully Convolutional One-Stage Object Detection, 2019; with its later centre sampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from segkit.structures import IGNORE_INDEX
from segkit.tasks._base import Task

CENTER_RADIUS = 1.5
"""Places further from an object's centre than so many strides do not learn it."""

SHORTEST, LONGEST = 4.0, 8.0
"""In strides: the largest distance from a place to the sides of its object lies between them; the finest level has no
lower limit, the coarsest no upper one."""

NOT_COUNTED = -2
"""Match of a place outside the image, or in a region that is neither object nor background."""


class DetectTask(Task):
    """Compares the outputs `detect` with `boxes` (N, M, 4) and `box_label` (N, M) of class indices.

    A box of `IGNORE_INDEX` is a region in which nothing is learnt; one without area fills up the batch. Nor is anything
    learnt outside the `image` (N, C, H, W), where a network mirrors it up to a multiple of its stride.
    """

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar}` and its parts: focal loss, generalized IoU and centerness, each per object's place."""
        places, logits = outputs["detect/places"], outputs["detect"].float()
        matches = torch.stack(
            [match_places(places, *target) for target in zip(batch["boxes"], batch["box_label"], strict=True)]
        )
        matches[:, ~_lie_within(places, batch["image"].shape[-2:])] = NOT_COUNTED
        is_object = matches >= 0
        images, _ = is_object.nonzero(as_tuple=True)
        matched = matches[is_object]
        boxes, labels = batch["boxes"][images, matched], batch["box_label"][images, matched]
        wanted = torch.zeros_like(logits)
        wanted[is_object] = functional.one_hot(labels, logits.shape[-1]).to(wanted.dtype)
        counted = matches != NOT_COUNTED
        count = max(1, len(matched))
        centers = places[:, :2].expand(len(matches), -1, -1)[is_object]
        parts = {
            "class_loss": sigmoid_focal_loss(logits[counted], wanted[counted], reduction="sum") / count,
            "box_loss": generalized_box_iou_loss(outputs["detect/boxes"].float()[is_object], boxes, reduction="sum")
            / count,
            "centerness_loss": functional.binary_cross_entropy_with_logits(
                outputs["detect/centerness"].float()[is_object], centerness(centers, boxes), reduction="sum"
            )
            / count,
        }
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}


def match_places(places: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    """The object that each place learns (FCOS, section 3.2): the smallest it is central in and whose size suits it.

    Args:
        places: (A, 3), x, y and stride.
        boxes: (M, 4).
        labels: (M,) class indices, `IGNORE_INDEX` for regions that do not count.

    Returns:
        (A,) row of the box, -1 for background, `NOT_COUNTED` in a region that does not count.
    """
    if not len(boxes):
        return torch.full((len(places),), -1, dtype=torch.int64, device=places.device)
    centers, strides = places[:, None, :2], places[:, 2]
    sides = torch.cat([centers - boxes[:, :2], boxes[:, 2:] - centers], dim=2)  # (A, M, 4), positive inside
    inside = sides.amin(dim=2) > 0
    from_center = (centers - (boxes[:, :2] + boxes[:, 2:]) / 2).abs().amax(dim=2)
    shortest = torch.where(strides == strides.min(), 0.0, SHORTEST * strides)
    longest = torch.where(strides == strides.max(), torch.inf, LONGEST * strides)
    reach = sides.amax(dim=2)
    fits = inside & (from_center < CENTER_RADIUS * strides[:, None])
    fits &= (reach > shortest[:, None]) & (reach < longest[:, None]) & (labels != IGNORE_INDEX)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    smallest = torch.where(fits, areas, torch.inf).min(dim=1)
    not_counted = (inside & (labels == IGNORE_INDEX)).any(dim=1)
    unmatched = torch.where(not_counted, NOT_COUNTED, -1)
    return torch.where(smallest.values < torch.inf, smallest.indices, unmatched)


def _lie_within(places: Tensor, size: Sequence[int]) -> Tensor:
    """(A,) whether places lie in an image of that height and width."""
    x, y = places[:, 0], places[:, 1]
    return (x > 0) & (x < size[1]) & (y > 0) & (y < size[0])


def centerness(centers: Tensor, boxes: Tensor) -> Tensor:
    """How central points (P, 2) lie in their boxes (P, 4), 1 in the middle and 0 at a side (FCOS, equation 3)."""
    before, after = centers - boxes[:, :2], boxes[:, 2:] - centers
    return (torch.minimum(before, after) / torch.maximum(before, after)).prod(dim=1).sqrt()
