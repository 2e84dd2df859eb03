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
        auxiliary_weight: share of each side classifier's loss that is added (Szegedy et al., Going Deeper with
            Convolutions, 2015, section 5); 1 gives the plain sum.
    """

    def __init__(self, criterion: nn.Module, label_smoothing: float = 0.0, auxiliary_weight: float = 0.3) -> None:
        super().__init__()
        self.criterion = criterion
        self.label_smoothing = label_smoothing
        self.auxiliary_weight = auxiliary_weight

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar}`."""
        loss = self._classifier_loss(outputs["classify"], batch)
        for name, logits in outputs.items():
            if name.startswith("classify/auxiliary_"):
                loss = loss + self.auxiliary_weight * self._classifier_loss(logits, batch)
        return {"loss": loss}

    def _classifier_loss(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        uniform = -F.log_softmax(logits.float(), dim=1).mean()
        criterion = self.criterion(logits, batch["label"])
        return (1 - self.label_smoothing) * criterion + self.label_smoothing * uniform
