"""A network: backbone, decoder where the task has one, head."""

from __future__ import annotations

from math import lcm

import numpy as np
import torch
from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.models.backbones._base import Backbone
from segkit.models.config import ModelConfig
from segkit.models.decoders._base import Decoder
from segkit.models.features import Features
from segkit.models.heads.classify import ClassifyHead
from segkit.models.heads.segment import LogitsHead, SegmentHead
from segkit.ops.sizes import Padding, pad_mirrored, padding_to_multiple


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
        self.heads = nn.ModuleDict({config.task: _create_head(config, backbone, decoder)})

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
        if self.decoder is None:
            return 1 if self.backbone.takes_any_size else self.backbone.stride_multiple
        return lcm(self.backbone.stride_multiple, self.decoder.stride_multiple)

    @property
    def smallest_image(self) -> int:
        """The least height and width in pixels; smaller images are mirrored up to it."""
        head = self.heads[self.config.task]
        return head.smallest_image if isinstance(head, ClassifyHead) else 1

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, C, H + 2 * margin, W + 2 * margin) to logits: `segment` (N, K, H, W) or `classify` (N, K).

        In training, side classifiers add `classify/auxiliary_1` and so on (N, K).
        Where H or W is no multiple of `stride_multiple` plus `stride_remainder`, the image is mirrored up to it, as
        the pipeline does, and the logits are cropped back.
        Raises `UsageError` when the number of channels is not the model's, or nothing is left inside the margin.
        """
        if images.shape[1] != self.config.in_channels:
            raise UsageError(f"the images have {images.shape[1]} channels, the model takes {self.config.in_channels}")
        height, width = (side - 2 * self.margin for side in images.shape[-2:])
        if self.margin and min(height, width) < 1:
            raise UsageError(
                f"the images have {images.shape[-2]} x {images.shape[-1]} pixels, of which the network loses "
                f"{self.margin} on each side; give it at least {2 * self.margin + 1} x {2 * self.margin + 1}"
            )
        padding = padding_to_multiple(height, width, self.stride_multiple, self.smallest_image, self.stride_remainder)
        padded = _pad_mirrored(images, padding) if any(padding) else images
        features = self.backbone(padded)
        if self.decoder is None:
            return self._classify(features)
        size = (padded.shape[-2] - 2 * self.margin, padded.shape[-1] - 2 * self.margin)
        logits = self.heads["segment"](self.decoder(features, size), size)
        top, _, left, _ = padding
        return {"segment": logits[..., top : top + height, left : left + width] if any(padding) else logits}

    def _classify(self, features: Features) -> dict[str, Tensor]:
        head = self.heads["classify"]
        assert isinstance(head, ClassifyHead)
        outputs = {"classify": head(features)}
        if self.training:
            outputs |= {f"classify/auxiliary_{i}": logits for i, logits in enumerate(head.auxiliary(features), start=1)}
        return outputs


def _require_equal_borders(config: ModelConfig, backbone: Backbone, decoder: Decoder | None) -> None:
    """Raise `UsageError` where the maps lack their borders and the decoder takes them for whole."""
    if decoder is not None and decoder.margin == 0 and "valid_convolutions" in backbone.capabilities:
        raise UsageError(
            f"decoder {config.decoder} lines up maps of whole images; those of backbone {config.backbone} lack their "
            "borders (valid_convolutions): use decoder unet2015"
        )


def _create_head(config: ModelConfig, backbone: Backbone, decoder: Decoder | None) -> nn.Module:
    if decoder is None:
        return backbone.create_classifier(config.num_classes)
    if decoder.gives_logits:
        return LogitsHead(decoder.head_align_corners)
    return SegmentHead(decoder.out_channels, config.num_classes, decoder.head_kernel_size, decoder.head_align_corners)


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
