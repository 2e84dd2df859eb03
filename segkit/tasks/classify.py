"""Classification: one class per image."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from segkit.tasks._base import Task


class ClassifyTask(Task):
    """Compares the logits `classify` (N, K) with the `label` (N,) of class indices.

    Args:
        criterion: (logits, label) to a scalar, as `segkit.losses.create_loss` builds them.
        label_smoothing: share of the loss that asks for every class alike (Szegedy et al., Rethinking the Inception
            Architecture, 2016, section 7). With cross-entropy without class weights equal to torch's `label_smoothing`.
    """

    def __init__(self, criterion: nn.Module, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.criterion = criterion
        self.label_smoothing = label_smoothing

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar}`."""
        logits = outputs["classify"]
        uniform = -F.log_softmax(logits.float(), dim=1).mean()
        criterion = self.criterion(logits, batch["label"])
        return {"loss": (1 - self.label_smoothing) * criterion + self.label_smoothing * uniform}
