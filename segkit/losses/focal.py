"""Focal loss, by segmentation-models-pytorch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.losses._base import LOSSES
from segkit.structures import IGNORE_INDEX


@LOSSES.register("focal")
class Focal(nn.Module):
    """Sigmoid focal loss of each class against the rest, gamma 2 (Lin et al., Focal Loss, 2017, section 3)."""

    def __init__(self, num_classes: int, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        # Imported here: the package takes seconds to import, and no other loss needs it.
        from segmentation_models_pytorch.losses import FocalLoss

        self.num_classes = num_classes
        weights = None if class_weights is None else list(class_weights)
        self.focal = FocalLoss("multiclass", ignore_index=IGNORE_INDEX, class_weights=weights)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (N, K, ...) and class indices (N, ...) to a scalar."""
        if not (target != IGNORE_INDEX).any():
            return logits.float().sum() * 0  # smp's mean over no pixel is NaN
        loss: Tensor = self.focal(logits.float(), target)
        return loss
