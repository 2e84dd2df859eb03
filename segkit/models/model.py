"""A network: backbone, decoder where a head reads its map, heads."""

from __future__ import annotations

from math import lcm

import numpy as np
import torch
from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.models.backbones._base import Backbone
from segkit.models.config import DENSE, ModelConfig
from segkit.models.decoders._base import DECODERS, Decoder
from segkit.models.features import Features
from segkit.models.heads.classify import ClassifyHead
from segkit.models.heads.segment import LogitsHead, SegmentHead
from segkit.ops.sizes import Padding, pad_mirrored, padding_to_multiple
from segkit.structures import TaskName


class Model(nn.Module):
    """Images of any size to logits.

    Attributes:
        config: what it was built from, options resolved.
    """

    def __init__(self, config: ModelConfig, backbone: Backbone, decoder: Decoder | None) -> None:
        super().__init__()
        _require_equal_borders(config, backbone, decoder)
        self.config = config
        self.backbone = backbone
        self.decoder = decoder
        self.heads = nn.ModuleDict({task: _create_head(task, config, backbone, decoder) for task in config.heads})

    @property
    def margin(self) -> int:
        """Pixels lost on each side: images come with so many more, which the pipeline and the training set give."""
        return 0 if self.decoder is None else self.decoder.margin

    @property
    def stride_remainder(self) -> int:
        """What sides have beyond a multiple of `stride_multiple` when they need no padding."""
        return 0 if self.decoder is None else self.decoder.stride_remainder

    @property
    def stride_multiple(self) -> int:
        """Images whose sides, without their margin, are multiples of this plus `stride_remainder` need no padding."""
        if self.decoder is not None:
            return lcm(self.backbone.stride_multiple, self.decoder.stride_multiple)
        any_size = self.backbone.takes_any_size and self.config.only_classifies
        return 1 if any_size else self.backbone.stride_multiple

    @property
    def smallest_image(self) -> int:
        """The least height and width in pixels; smaller images are mirrored up to it."""
        return max((head.smallest_image for head in self.heads.values() if isinstance(head, ClassifyHead)), default=1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, C, H + 2 * margin, W + 2 * margin) to the outputs of every head, from one pass of the backbone.

        `segment` are logits (N, K, H, W), `instances` (N, K + 1, H, W), the last of the border, and `classify` (N, K).
        `detect` are logits (N, A, K) of A places, with `detect/boxes` (N, A, 4) in pixels of the images and
        `detect/centerness` (N, A). In training, heads add what only their losses want: `detect/places` (A, 3), and the
        side classifiers' `classify/auxiliary_1` (N, K) and so on.
        Objects found one by one have no map: in evaluation `instances/boxes` and so on, of a single image; in training
        what their loss wants, in pixels of the images with `instances/padding` (4,), mirrored on at their left, right,
        top and bottom; see `MaskRcnnHead`.
        Where H or W is no multiple of `stride_multiple` plus `stride_remainder`, the image is mirrored up to it, as
        the pipeline does, and the outputs are those of the image alone.
        Raises `UsageError` when the number of channels is not the model's, or nothing is left inside the margin.
        """
        height, width = self._size(images)
        padding = padding_to_multiple(height, width, self.stride_multiple, self.smallest_image, self.stride_remainder)
        padded = _pad_mirrored(images, padding) if any(padding) else images
        features = self.backbone(padded)
        outputs: dict[str, Tensor] = {}
        if self.decoder is not None:
            size = (padded.shape[-2] - 2 * self.margin, padded.shape[-1] - 2 * self.margin)
            outputs |= self._dense(self.decoder(features, size), size, padding, (height, width))
        if self.config.finds_objects:
            outputs |= self._find_objects(features, (padded.shape[-2], padded.shape[-1]), padding)
        if "detect" in self.heads:
            outputs |= self._detect(features, padding)
        if "classify" in self.heads:
            outputs |= self._classify(features)
        return outputs

    def _size(self, images: Tensor) -> tuple[int, int]:
        """Height and width of the images without their margin."""
        if images.shape[1] != self.config.in_channels:
            raise UsageError(f"the images have {images.shape[1]} channels, the model takes {self.config.in_channels}")
        height, width = (side - 2 * self.margin for side in images.shape[-2:])
        if self.margin and min(height, width) < 1:
            raise UsageError(
                f"the images have {images.shape[-2]} x {images.shape[-1]} pixels, of which the network loses "
                f"{self.margin} on each side; give it at least {2 * self.margin + 1} x {2 * self.margin + 1}"
            )
        return height, width

    def _dense(
        self, decoded: Tensor, padded_size: tuple[int, int], padding: Padding, size: tuple[int, int]
    ) -> dict[str, Tensor]:
        """Logits of the heads that read the decoder's map, cropped to the images."""
        top, _, left, _ = padding
        logits: dict[str, Tensor] = {
            task: self.heads[task](decoded, padded_size) for task in DENSE if task in self.heads
        }
        if not any(padding):
            return logits
        return {task: map_[..., top : top + size[0], left : left + size[1]] for task, map_ in logits.items()}

    def _detect(self, features: Features, padding: Padding) -> dict[str, Tensor]:
        """Outputs of the head of boxes, moved from the padded image to the image."""
        top, _, left, _ = padding
        outputs: dict[str, Tensor] = self.heads["detect"](features)
        for name, shift in (("detect/boxes", (left, top, left, top)), ("detect/places", (left, top, 0))):
            if any(padding) and name in outputs:
                outputs[name] = outputs[name] - outputs[name].new_tensor(shift)
        return outputs

    def _find_objects(self, features: Features, size: tuple[int, int], padding: Padding) -> dict[str, Tensor]:
        """Outputs of the head of objects; in evaluation moved from the padded image to the image."""
        outputs: dict[str, Tensor] = self.heads["instances"](features, size)
        top, bottom, left, right = padding
        if "instances/proposals" in outputs:
            mirrored = outputs["instances/proposals"].new_tensor([left, right, top, bottom])
            return {**outputs, "instances/padding": mirrored}
        boxes = outputs["instances/boxes"]
        return {**outputs, "instances/boxes": boxes - boxes.new_tensor((left, top, left, top))}

    def _classify(self, features: Features) -> dict[str, Tensor]:
        head = self.heads["classify"]
        assert isinstance(head, ClassifyHead)
        outputs = {"classify": head(features)}
        if self.training:
            outputs |= {f"classify/auxiliary_{i}": logits for i, logits in enumerate(head.auxiliary(features), start=1)}
        return outputs


def _require_equal_borders(config: ModelConfig, backbone: Backbone, decoder: Decoder | None) -> None:
    """Raise `UsageError` where the maps lack their borders and a decoder or a head takes them for whole."""
    if "valid_convolutions" not in backbone.capabilities:
        return
    if "detect" in config.heads or config.finds_objects:
        raise UsageError(
            f"boxes are found at places of whole images; the maps of backbone {config.backbone} lack their borders "
            "(valid_convolutions): take another backbone, such as plain"
        )
    if decoder is not None and decoder.margin == 0:
        raise UsageError(
            f"decoder {config.decoder} lines up maps of whole images; those of backbone {config.backbone} lack their "
            "borders (valid_convolutions): use decoder unet2015"
        )


def _create_head(task: TaskName, config: ModelConfig, backbone: Backbone, decoder: Decoder | None) -> nn.Module:
    if config.finds_objects:
        assert config.decoder is not None
        return DECODERS.get(config.decoder).build(backbone.specs, config.heads[task], **config.decoder_options)
    num_classes = config.heads[task] + (task == "instances")  # the border between objects is a class of its own
    if task == "classify":
        return backbone.create_classifier(num_classes)
    if task == "detect":
        from segkit.models.heads.detect import create_detect_head  # of all heads, only this one needs torchvision

        return create_detect_head(backbone.specs, num_classes, config.detect_options)
    assert decoder is not None  # the configuration has one for each of its dense heads
    if decoder.gives_logits:
        return LogitsHead(decoder.head_align_corners)
    return SegmentHead(decoder.out_channels, num_classes, decoder.head_kernel_size, decoder.head_align_corners)


def _pad_mirrored(images: Tensor, padding: Padding) -> Tensor:
    """`ops.sizes.pad_mirrored` for tensors: its rule applied to the row and column numbers, then those pixels taken."""
    top, bottom, left, right = padding
    rows = pad_mirrored(np.arange(images.shape[-2])[:, None], (top, bottom, 0, 0))[:, 0]
    columns = pad_mirrored(np.arange(images.shape[-1])[None, :], (0, 0, left, right))[0]
    padded = images
    for dimension, positions in ((2, rows), (3, columns)):
        padded = padded.index_select(dimension, torch.from_numpy(positions).to(images.device))
    is_channels_last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    return padded.contiguous(memory_format=torch.channels_last) if is_channels_last else padded
