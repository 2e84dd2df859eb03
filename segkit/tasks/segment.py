"""Semantic segmentation: one class per pixel."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from segkit.tasks._base import Task


class SegmentTask(Task):
    """Compares the logits `segment` (N, K, H, W) with the `mask` (N, H, W) of class indices.

    A batch with `border_weight` (N, H, W) has its pixels weighted by it, which only some losses can.

    Args:
        criterion: (logits, mask) to a scalar, as `segkit.losses.create_loss` builds them.
    """

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.criterion = criterion

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar}`."""
        weights = [batch["border_weight"]] if "border_weight" in batch else []
        return {"loss": self.criterion(outputs["segment"], batch["mask"], *weights)}
