"""One class per pixel: what a mask shows, or the insides and borders that tell objects apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from segkit.tasks._base import Task

TARGETS = {"segment": "mask", "instances": "cells"}
"""Heads, and the targets (N, H, W) of class indices they learn; the last class of `cells` is the border."""


class PixelTask(Task):
    """Compares the logits (N, K, H, W) of a head with its target in `TARGETS`.

    A batch with `border_weight` (N, H, W) has the pixels of the mask weighted by it, which only some losses can.

    Args:
        head: what the logits are named.
        criterion: (logits, target) to a scalar, as `segkit.losses.create_loss` builds them.
    """

    def __init__(self, head: Literal["segment", "instances"], criterion: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.criterion = criterion

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar}`."""
        is_weighted = self.head == "segment" and "border_weight" in batch
        weights = [batch["border_weight"]] if is_weighted else []
        return {"loss": self.criterion(outputs[self.head], batch[TARGETS[self.head]], *weights)}
