"""The head of objects found box by box: proposals on a feature pyramid, then the class, box and mask of each.

He et al., Mask R-CNN, 2017; Ren et al., Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks,
2015; Lin et al., Feature Pyramid Networks for Object Detection, 2017. Layers, anchors and selection are torchvision's.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.poolers import LevelMapper

from segkit.errors import UsageError
from segkit.models.features import Features, FeatureSpec

ASPECT_RATIOS = (0.5, 1.0, 2.0)
"""Height over width of the anchors of each size (Faster R-CNN, section 3.1.1)."""

ANCHOR_STRIDES = 4
"""Side of a map's anchors in its strides where no sizes are given: 16 pixels at stride 4. The paper has 8."""

BOX_SIDE, MASK_SIDE = 7, 14
"""Cells of a region that box and mask are told from; a mask has twice as many (Mask R-CNN, figure 4)."""

LEAST_SCORE, OVERLAP, MOST_OBJECTS = 0.05, 0.5, 300
"""Objects of a lower score are never given, nor those that overlap more with a surer one, nor more in an image."""


@dataclass(frozen=True)
class Sizes:
    """What a user can set; see `segkit.models.decoders.maskrcnn`, which has the defaults."""

    channels: int
    hidden: int
    mask_convolutions: int
    finest_stride: int
    levels: int
    anchor_sizes: tuple[int, ...] | None
    proposals: int
    regions: int


class MaskRcnnHead(nn.Module):
    """Features to proposals in training, of which `MaskRcnnTask` makes the losses, and to objects in evaluation.

    Where torchvision tells a region's level by the size of the first image, here the strides of the maps say it.

    Args:
        specs: what the backbone declares.
        num_classes: background, which is class 0, and the classes of objects.
        sizes: widths, maps and numbers of regions.

    Raises:
        UsageError: the backbone has no map of `finest_stride` or more, or the anchors are not one size per map.
    """

    def __init__(self, specs: Sequence[FeatureSpec], num_classes: int, sizes: Sizes) -> None:
        super().__init__()
        self.indices = _indices(specs, sizes)
        pooled = [specs[index].stride for index in self.indices]
        self.strides = (*pooled, 2 * pooled[-1])
        in_channels, channels = [specs[index].channels for index in self.indices], sizes.channels
        self.pyramid = FeaturePyramidNetwork(in_channels, channels, LastLevelMaxPool())
        self.rpn = RegionProposalNetwork(
            _anchor_generator(self.strides, sizes.anchor_sizes),
            RPNHead(channels, len(ASPECT_RATIOS)),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n=dict.fromkeys(("training", "testing"), sizes.proposals),
            post_nms_top_n=dict.fromkeys(("training", "testing"), sizes.proposals),
            nms_thresh=0.7,
        )
        self.roi_heads = RoIHeads(
            _region_pool(pooled, BOX_SIDE),
            TwoMLPHead(channels * BOX_SIDE**2, sizes.hidden),
            FastRCNNPredictor(sizes.hidden, num_classes),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=sizes.regions,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=LEAST_SCORE,
            nms_thresh=OVERLAP,
            detections_per_img=MOST_OBJECTS,
            mask_roi_pool=_region_pool(pooled, MASK_SIDE),
            mask_head=MaskRCNNHeads(channels, (channels,) * sizes.mask_convolutions, dilation=1),
            mask_predictor=MaskRCNNPredictor(channels, channels, num_classes),
        )

    def forward(self, features: Features, size: tuple[int, int]) -> dict[str, Tensor]:
        """Features of images of `size` (H, W) to outputs in their pixels.

        In training: maps `instances/pyramid_0` (N, C, h, w) and so on, fine to coarse; of the A `instances/anchors`
        (A, 4) the logits `instances/objectness` (N, A) and deltas `instances/deltas` (N, A, 4); and
        `instances/proposals` (P, 5), each with the number of its image.

        In evaluation, of a single image, M objects: `instances/boxes` (M, 4), `instances/labels` (M,), class indices
        from 1, `instances/scores` (M,) and probabilities `instances/masks` (M, 28, 28). On the meta device, which has
        shapes and no values, as many as there can be.

        Raises `UsageError` for several images in evaluation.
        """
        maps = OrderedDict((str(index), features.maps[index]) for index in self.indices)
        *pyramid, coarsest = self.pyramid(maps).values()
        if coarsest.is_meta:
            return self._most_objects(pyramid, (*pyramid, coarsest))
        proposed = self._propose((*pyramid, coarsest), size)
        if self.training:
            return {**{f"instances/pyramid_{level}": map_ for level, map_ in enumerate(pyramid)}, **proposed}
        if len(coarsest) > 1:
            raise UsageError(f"objects are found in one image at a time; the batch has {len(coarsest)}")
        return self._find(pyramid, proposed["instances/proposals"][:, 1:], size)

    def score_regions(self, pyramid: Sequence[Tensor], regions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Boxes (R_i, 4) of every image to class logits (R, K) and deltas (R, 4 K) of all of them, in float32."""
        logits, deltas = self._scored(self._pooled(self.roi_heads.box_roi_pool, pyramid, regions))
        return logits.float(), deltas.float()

    def draw_masks(self, pyramid: Sequence[Tensor], regions: Sequence[Tensor]) -> Tensor:
        """Boxes (R_i, 4) of every image to logits of their masks (R, K, 28, 28), in float32."""
        return self._drawn(self._pooled(self.roi_heads.mask_roi_pool, pyramid, regions)).float()

    def _propose(self, maps: Sequence[Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """What the first stage says; its boxes are decoded in float32, whatever it computed in."""
        images, (each_objectness, each_deltas) = len(maps[0]), self.rpn.head(list(maps))
        counts = [map_[0].numel() for map_ in each_objectness]
        objectness, deltas = concat_box_prediction_layers(each_objectness, each_deltas)
        objectness, deltas = objectness.float().view(images, -1), deltas.float()
        anchors = self._anchors(maps)
        boxes = self.rpn.box_coder.decode(deltas.detach(), [anchors] * images).view(images, -1, 4)
        proposals, _ = self.rpn.filter_proposals(boxes, objectness, [size] * images, counts)
        numbered = [nn.functional.pad(chosen, (1, 0), value=image) for image, chosen in enumerate(proposals)]
        return {
            "instances/objectness": objectness,
            "instances/deltas": deltas.view(images, -1, 4),
            "instances/anchors": anchors,
            "instances/proposals": torch.cat(numbered),
        }

    def _anchors(self, maps: Sequence[Tensor]) -> Tensor:
        """(A, 4) the anchors of all maps, in float32."""
        generator = self.rpn.anchor_generator
        generator.set_cell_anchors(torch.float32, maps[0].device)
        steps = [(stride, stride) for stride in self.strides]
        return torch.cat(generator.grid_anchors([map_.shape[-2:] for map_ in maps], steps))

    def _find(self, pyramid: Sequence[Tensor], proposals: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        """What the second stage says of one image."""
        scored = self.score_regions(pyramid, [proposals])
        boxes, scores, labels = self.roi_heads.postprocess_detections(*scored, [proposals], [size])
        masks = maskrcnn_inference(self.draw_masks(pyramid, boxes), labels)
        return _outputs(boxes[0], labels[0], scores[0], masks[0][:, 0])

    def _most_objects(self, pyramid: Sequence[Tensor], maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """The layers of both stages on as many regions as there can be, for what is told of costs beforehand."""
        self.rpn.head(list(maps))
        finest, most = pyramid[0], self.rpn.post_nms_top_n()
        logits, _ = self._scored(finest.new_empty(most, finest.shape[1], BOX_SIDE, BOX_SIDE))
        masks = self._drawn(finest.new_empty(MOST_OBJECTS, finest.shape[1], MASK_SIDE, MASK_SIDE))
        scores = logits.new_empty(MOST_OBJECTS)
        return _outputs(scores.new_empty(MOST_OBJECTS, 4), scores.long(), scores, masks[:, 0])

    def _scored(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = self.roi_heads.box_predictor(self.roi_heads.box_head(pooled))
        return logits, deltas

    def _drawn(self, pooled: Tensor) -> Tensor:
        return self.roi_heads.mask_predictor(self.roi_heads.mask_head(pooled))

    def _pooled(self, pool: MultiScaleRoIAlign, pyramid: Sequence[Tensor], regions: Sequence[Tensor]) -> Tensor:
        named = {str(level): map_ for level, map_ in enumerate(pyramid)}
        return pool(named, list(regions), [])  # it has its scales, and asks no image for them


def _outputs(boxes: Tensor, labels: Tensor, scores: Tensor, masks: Tensor) -> dict[str, Tensor]:
    found = {"boxes": boxes, "labels": labels, "scores": scores, "masks": masks}
    return {f"instances/{name}": tensor for name, tensor in found.items()}


def _indices(specs: Sequence[FeatureSpec], sizes: Sizes) -> tuple[int, ...]:
    """The maps that are read, the last of each stride."""
    last_of = {spec.stride: index for index, spec in enumerate(specs) if spec.stride >= sizes.finest_stride}
    if not last_of:
        strides = ", ".join(str(spec.stride) for spec in specs)
        raise UsageError(
            f"the backbone has maps of strides {strides} and decoder maskrcnn reads those of {sizes.finest_stride} or "
            f"more; take another backbone, or finest_stride={specs[-1].stride}"
        )
    return tuple(last_of.values())[: sizes.levels]


def _anchor_generator(strides: Sequence[int], sizes: tuple[int, ...] | None) -> AnchorGenerator:
    chosen = sizes or tuple(ANCHOR_STRIDES * stride for stride in strides)
    if len(chosen) != len(strides):
        listed = ", ".join(map(str, strides))
        raise UsageError(
            f"decoder maskrcnn: anchor_sizes={'x'.join(map(str, chosen))} is not one size for each of the maps of "
            f"strides {listed}; give {len(strides)}, as {'x'.join(str(ANCHOR_STRIDES * stride) for stride in strides)}"
        )
    return AnchorGenerator(tuple((size,) for size in chosen), (ASPECT_RATIOS,) * len(strides))


def _region_pool(strides: Sequence[int], side: int) -> MultiScaleRoIAlign:
    """Cells of regions, each from the map that suits its size (Feature Pyramid Networks, equation 1)."""
    pool = MultiScaleRoIAlign([str(level) for level in range(len(strides))], side, sampling_ratio=2)
    pool.scales = [1 / stride for stride in strides]
    pool.map_levels = LevelMapper(*(int(math.log2(stride)) for stride in (strides[0], strides[-1])))
    return pool
