"""Objects told apart by their borders: one class per pixel, the border between objects a class of its own."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from segkit.tasks._base import Task


class InstancesTask(Task):
    """Compares the logits `instances` (N, K, H, W) with the `cells` (N, H, W) of class indices, the last the border.

    Args:
        criterion: (logits, mask) to a scalar, as `segkit.losses.create_loss` builds them.
    """

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.criterion = criterion

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar}`."""
        return {"loss": self.criterion(outputs["instances"], batch["cells"])}
