"""What a loss is, and the table of losses a user can choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from segkit.errors import UsageError
from segkit.registry import Registry

if TYPE_CHECKING:
    from torch import nn


class LossFactory(Protocol):
    """Builds one loss for `num_classes` classes, weighted by `class_weights` where given."""

    def __call__(self, num_classes: int, class_weights: Sequence[float] | None) -> nn.Module: ...


LOSSES: Registry[LossFactory] = Registry("loss", "segkit.losses")

BORDER_WEIGHTED = ("ce", "ce_dice")
"""The losses that take a third argument, the border weights (N, H, W)."""


def create_loss(name: str, num_classes: int, class_weights: Sequence[float] | None = None) -> nn.Module:
    """A module that maps logits (N, K, ...) and target class indices (N, ...) int64 to a scalar, computed in float32.

    Targets of `IGNORE_INDEX` are not counted; a batch in which nothing is counted has the loss 0.

    Args:
        name: `ce_dice`, `ce`, `dice` or `focal`.
        num_classes: K, the channels of the logits.
        class_weights: one positive weight per class, in the order of their indices; None: all equal.

    Raises:
        UsageError: an unknown name, or weights that are not one positive number per class.
    """
    if class_weights is not None and (len(class_weights) != num_classes or min(class_weights) <= 0):
        given = ", ".join(f"{weight:g}" for weight in class_weights)
        raise UsageError(
            f"class weights {given} were given for {num_classes} classes; give one number above 0 per class"
        )
    return LOSSES.get(name)(num_classes, class_weights)
