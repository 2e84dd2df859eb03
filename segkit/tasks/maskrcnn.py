"""Objects one by one: where they may be, then the class, box and mask of each.

He et al., Mask R-CNN, 2017; Ren et al., Faster R-CNN, 2015. What is drawn and compared is torchvision's, but that what
does not count is neither an object nor background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align

from segkit.models.heads.maskrcnn import MaskRcnnHead
from segkit.structures import IGNORE_INDEX
from segkit.tasks._base import Task

BETA = 1 / 9
"""Of smooth L1, below which errors are squared; torchvision's."""

MOST_IGNORED = 0.5
"""Share of a box, above which what lies in it does not count and the box is not drawn."""


class Target(NamedTuple):
    """What is learnt of one image: boxes (M, 4) with class indices (M,), and ids (H, W) of which m + 1 is row m."""

    boxes: Tensor
    labels: Tensor
    ids: Tensor


class Regions(NamedTuple):
    """Boxes (R, 4) drawn from one image, with the row (R,) of the target each belongs to, and its class (R,) or 0."""

    boxes: Tensor
    rows: Tensor
    labels: Tensor


class MaskRcnnTask(Task):
    """Compares the outputs of a `MaskRcnnHead` with `instances` (N, H, W), `boxes` (N, M, 4) and `box_label` (N, M).

    Ids are 1..M for the objects in the order of their boxes, 0 for none, `IGNORE_INDEX` for what does not count. An
    anchor or proposal of which more than half does not count is drawn only where it fits an object, and such pixels
    are left out of masks. The same holds for what is mirrored on around the image.

    Args:
        head: the network's, asked for the class, box and mask of regions that are only known with the targets. It is
            no part of the task, whose parameters would else be the network's twice.
    """

    def __init__(self, head: MaskRcnnHead) -> None:
        super().__init__()
        self._head = (head,)  # in a tuple, where `Module` does not look for parts

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar}` and its parts: of anchors and of regions what they are and where, and of masks."""
        targets = _targets(batch, outputs["instances/padding"])
        parts = self._anchor_losses(outputs, targets) | self._region_losses(outputs, targets)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def _anchor_losses(self, outputs: Mapping[str, Tensor], targets: Sequence[Target]) -> dict[str, Tensor]:
        """Of the first stage: which anchors are of objects, and how far their boxes lie from the objects'."""
        rpn, anchors = self._head[0].rpn, outputs["instances/anchors"]
        labels, boxes = rpn.assign_targets_to_anchors([anchors] * len(targets), [{"boxes": t.boxes} for t in targets])
        for label, target in zip(labels, targets, strict=True):
            label[(label == 0) & _not_counted(anchors, target.ids)] = -1  # which is what torchvision does not draw
        positive, negative = (torch.stack(drawn).bool() for drawn in rpn.fg_bg_sampler(labels))
        wanted = torch.stack(rpn.box_coder.encode(boxes, [anchors] * len(targets)))
        drawn = positive | negative
        return {
            "anchor_loss": _mean(
                functional.binary_cross_entropy_with_logits(
                    outputs["instances/objectness"][drawn], torch.stack(labels)[drawn], reduction="sum"
                ),
                drawn.sum(),
            ),
            "anchor_box_loss": _mean(
                functional.smooth_l1_loss(
                    outputs["instances/deltas"][positive], wanted[positive], beta=BETA, reduction="sum"
                ),
                drawn.sum(),
            ),
        }

    def _region_losses(self, outputs: Mapping[str, Tensor], targets: Sequence[Target]) -> dict[str, Tensor]:
        """Of the second stage: class and box of regions, and the masks of those that are objects."""
        head = self._head[0]
        pyramid = [outputs[name] for name in outputs if name.startswith("instances/pyramid_")]
        regions = [self._draw(boxes, target) for boxes, target in zip(_by_image(outputs), targets, strict=True)]
        logits, deltas = head.score_regions(pyramid, [drawn.boxes for drawn in regions])
        labels = torch.cat([drawn.labels for drawn in regions])
        objects = [drawn.labels > 0 for drawn in regions]
        found = [Regions(*(part[kept] for part in drawn)) for drawn, kept in zip(regions, objects, strict=True)]
        of_object, of_class = labels > 0, labels[labels > 0]
        own = deltas.unflatten(1, (-1, 4))[of_object, of_class]
        masks = head.draw_masks(pyramid, [drawn.boxes for drawn in found])
        own_masks = masks[torch.arange(len(of_class), device=masks.device), of_class]
        wanted, counted = _mask_targets(found, targets, masks.shape[-1])
        return {
            "class_loss": _mean(functional.cross_entropy(logits, labels, reduction="sum"), len(labels)),
            "box_loss": _mean(
                functional.smooth_l1_loss(own, self._deltas(found, targets), beta=BETA, reduction="sum"), len(labels)
            ),
            "mask_loss": _mean(
                functional.binary_cross_entropy_with_logits(own_masks, wanted, counted, reduction="sum"), counted.sum()
            ),
        }

    def _draw(self, proposals: Tensor, target: Target) -> Regions:
        """Regions to learn from, the boxes of the objects among those there are."""
        roi_heads = self._head[0].roi_heads
        boxes = torch.cat([proposals, target.boxes])
        (rows,), (labels,) = roi_heads.assign_targets_to_proposals([boxes], [target.boxes], [target.labels])
        labels[(labels == 0) & _not_counted(boxes, target.ids)] = -1
        (drawn,) = roi_heads.subsample([labels])
        return Regions(boxes[drawn], rows[drawn], labels[drawn])

    def _deltas(self, found: Sequence[Regions], targets: Sequence[Target]) -> Tensor:
        """(R, 4) from regions to their objects, as the second stage tells them."""
        objects = [target.boxes[drawn.rows] for drawn, target in zip(found, targets, strict=True)]
        return torch.cat(self._head[0].roi_heads.box_coder.encode(objects, [drawn.boxes for drawn in found]))


def _targets(batch: Mapping[str, Tensor], padding: Tensor) -> list[Target]:
    """The targets of every image in pixels of what the network saw: moved, and not counted where it is mirrored."""
    left, right, top, bottom = (int(side) for side in padding)
    ids = functional.pad(batch["instances"], (left, right, top, bottom), value=IGNORE_INDEX)
    boxes = batch["boxes"] + padding[[0, 2, 0, 2]]
    real = batch["box_label"] != IGNORE_INDEX
    return [Target(boxes[i][real[i]], batch["box_label"][i][real[i]], ids[i]) for i in range(len(ids))]


def _by_image(outputs: Mapping[str, Tensor]) -> list[Tensor]:
    """The proposals (P, 4) of every image."""
    proposals, images = outputs["instances/proposals"], len(outputs["instances/objectness"])
    return [proposals[proposals[:, 0] == image, 1:] for image in range(images)]


def _not_counted(boxes: Tensor, ids: Tensor) -> Tensor:
    """(B,) whether more than `MOST_IGNORED` of the pixels that boxes touch, those of the image, does not count."""
    ignored = (ids == IGNORE_INDEX).long()
    sums = functional.pad(ignored.cumsum(0).cumsum(1), (1, 0, 1, 0))  # of all pixels above and left
    limits = boxes.new_tensor(ids.shape[::-1]).repeat(2)
    touched = torch.cat([boxes[:, :2].floor(), boxes[:, 2:].ceil()], dim=1)
    left, top, right, bottom = touched.clamp(min=0).minimum(limits).long().unbind(1)
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return inside > MOST_IGNORED * (right - left) * (bottom - top)


def _mask_targets(found: Sequence[Regions], targets: Sequence[Target], side: int) -> tuple[Tensor, Tensor]:
    """(R, side, side) how much of each cell of a region is its object's, and weights: 0 where the cell does not count.

    Cells lie where pasting has them, whose pixels are squares; torchvision's lie half a pixel off.
    """
    shares, weights = [], []
    for drawn, target in zip(found, targets, strict=True):
        own = (target.ids == drawn.rows[:, None, None] + 1).float()[:, None]
        counts = (target.ids != IGNORE_INDEX).float()[None, None]
        numbers = torch.arange(len(own), device=own.device)
        shares.append(roi_align(own, _numbered(numbers, drawn.boxes), side, aligned=True)[:, 0])
        weights.append(roi_align(counts, _numbered(0 * numbers, drawn.boxes), side, aligned=True)[:, 0] > 0.5)
    return torch.cat(shares), torch.cat(weights).float()


def _numbered(images: Tensor, boxes: Tensor) -> Tensor:
    return torch.cat([images[:, None].to(boxes.dtype), boxes], dim=1)


def _mean(total: Tensor, count: Tensor | int) -> Tensor:
    """0 where nothing was counted."""
    return total / max(int(count), 1)
