"""Soft Dice loss over the classes present."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.losses._base import LOSSES
from segkit.structures import IGNORE_INDEX


@LOSSES.register("dice")
class Dice(nn.Module):
    """One minus the soft Dice coefficient 2 Σpt / (Σp + Σt) of each class, averaged over the classes present.

    Sums run over all counted pixels of the batch (Milletari et al., V-Net, 2016, section 3, there with squares in the
    denominator; here without, as in nnU-Net and segmentation-models-pytorch). A class that the batch's targets lack is
    left out of the mean: its coefficient would be 0 whatever is predicted.
    """

    class_weights: Tensor

    def __init__(self, num_classes: int, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("class_weights", torch.tensor(class_weights or [1.0] * num_classes))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (N, K, ...) and class indices (N, ...) to a scalar in 0 to 1."""
        counted = (target != IGNORE_INDEX).unsqueeze(1)
        probabilities = logits.float().softmax(dim=1) * counted
        classes = torch.arange(self.num_classes, device=target.device).view(-1, *[1] * (target.ndim - 1))
        reference = target.unsqueeze(1) == classes
        per_class = [axis for axis in range(logits.ndim) if axis != 1]
        pixels = reference.sum(per_class)
        intersection = (probabilities * reference).sum(per_class)
        # A class that is present has at least one pixel, so the clamp changes only coefficients that count nothing.
        coefficient = 2 * intersection / (probabilities.sum(per_class) + pixels).clamp(min=1)
        weights = self.class_weights * (pixels > 0)
        return ((1 - coefficient) * weights).sum() / weights.sum().clamp(min=torch.finfo(torch.float32).tiny)
