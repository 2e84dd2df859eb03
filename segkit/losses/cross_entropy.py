"""Cross-entropy over the pixels (or images) that count."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.losses._base import LOSSES
from segkit.structures import IGNORE_INDEX


@LOSSES.register("ce")
class CrossEntropy(nn.Module):
    """Mean of -log softmax(logits)[target], weighted by the target's class weight.

    Equal to `torch.nn.functional.cross_entropy`, except that a batch of ignored targets only gives 0 and not NaN.
    With border weights each pixel is weighted by the sum of its class weight, 1 where there are none, and its border
    weight (Ronneberger et al. 2015, "U-Net", equations 1 and 2), and the mean is taken over these weights.
    """

    class_weights: Tensor | None

    def __init__(self, num_classes: int, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("class_weights", None if class_weights is None else torch.tensor(class_weights))

    def forward(self, logits: Tensor, target: Tensor, border_weight: Tensor | None = None) -> Tensor:
        """Logits (N, K, ...), class indices (N, ...) and border weights (N, ...) to a scalar."""
        if border_weight is not None:
            return self._weighted(logits, target, border_weight)
        total = F.cross_entropy(logits.float(), target, self.class_weights, ignore_index=IGNORE_INDEX, reduction="sum")
        counted = target != IGNORE_INDEX
        if self.class_weights is None:
            return total / counted.sum().clamp(min=1)
        weight = (self.class_weights[target.clamp(min=0)] * counted).sum()
        return total / weight.clamp(min=torch.finfo(torch.float32).tiny)

    def _weighted(self, logits: Tensor, target: Tensor, border_weight: Tensor) -> Tensor:
        by_class = 1.0 if self.class_weights is None else self.class_weights[target.clamp(min=0)]
        weight = (by_class + border_weight) * (target != IGNORE_INDEX)
        each = F.cross_entropy(logits.float(), target, ignore_index=IGNORE_INDEX, reduction="none")
        return (each * weight).sum() / weight.sum().clamp(min=torch.finfo(torch.float32).tiny)
