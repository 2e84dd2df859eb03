"""Cross-entropy plus Dice, the default."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.losses._base import LOSSES
from segkit.losses.cross_entropy import CrossEntropy
from segkit.losses.dice import Dice


@LOSSES.register("ce_dice")
class CrossEntropyDice(nn.Module):
    """Equal parts of cross-entropy, which rates every pixel, and Dice, which rates every class (nnU-Net, 2021).

    Border weights reach the cross-entropy only: Dice compares areas, in which every pixel counts the same.
    """

    def __init__(self, num_classes: int, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.cross_entropy = CrossEntropy(num_classes, class_weights)
        self.dice = Dice(num_classes, class_weights)

    def forward(self, logits: Tensor, target: Tensor, border_weight: Tensor | None = None) -> Tensor:
        """Logits (N, K, ...), class indices (N, ...) and border weights (N, ...) to a scalar."""
        return (self.cross_entropy(logits, target, border_weight) + self.dice(logits, target)) / 2
