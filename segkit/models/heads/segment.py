"""The head of segmentation: a map to one logit per class and pixel."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from segkit.models.layers.initialization import initialize_head


class LogitsHead(nn.Module):
    """Logits of any size, interpolated bilinearly to the size of the input where they are smaller.

    Args:
        align_corners: whether to interpolate between the centres of the corner pixels.
    """

    def __init__(self, align_corners: bool = False) -> None:
        super().__init__()
        self.align_corners = align_corners

    def forward(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits (N, K, h, w) to logits (N, K, H, W) with (H, W) = `size`."""
        if tuple(logits.shape[-2:]) == size:
            return logits
        return functional.interpolate(logits, size=size, mode="bilinear", align_corners=self.align_corners)


class SegmentHead(LogitsHead):
    """Convolution of a decoder's map to class logits of the size of the input."""

    def __init__(self, in_channels: int, num_classes: int, kernel_size: int = 1, align_corners: bool = False) -> None:
        super().__init__(align_corners)
        self.convolution = nn.Conv2d(in_channels, num_classes, kernel_size, padding=kernel_size // 2)
        initialize_head(self)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """A map (N, C, h, w) to logits (N, K, H, W) with (H, W) = `size`."""
        return super().forward(self.convolution(x), size)
