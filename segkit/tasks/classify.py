"""Classification: one class per image."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from segkit.structures import IGNORE_INDEX
from segkit.tasks._base import Task


class ClassifyTask(Task):
    """Compares the logits `classify` (N, K) with the `label` (N,) of class indices, `IGNORE_INDEX` where there is none.

    Args:
        criterion: (logits, label) to a scalar, as `segkit.losses.create_loss` builds them.
        label_smoothing: share of the loss that asks for every class alike (Szegedy et al., Rethinking the Inception
            Architecture, 2016, section 7). With cross-entropy without class weights equal to torch's `label_smoothing`.
        auxiliary_weight: share of each side classifier's loss that is added (Szegedy et al., Going Deeper with
            Convolutions, 2015, section 5); 1 gives the plain sum.
        mixup: alpha of mixup (Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018, section 2); 0: none.
    """

    def __init__(
        self,
        criterion: nn.Module,
        label_smoothing: float = 0.0,
        auxiliary_weight: float = 0.3,
        mixup: float = 0.0,
    ) -> None:
        super().__init__()
        self.criterion = criterion
        self.label_smoothing = label_smoothing
        self.auxiliary_weight = auxiliary_weight
        self.mixup = mixup

    @override
    def mix(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """With mixup every image is blended with another one of the batch, all with one share from Beta(alpha, alpha).

        The other's label is `mixed_label`, its own share `own_share`, a scalar.
        """
        if not self.mixup:
            return batch
        images, labels = batch["image"], batch["label"]
        share = torch.distributions.Beta(self.mixup, self.mixup).sample()
        other = torch.randperm(len(images))
        own_share = share.to(images.device)
        mixed = torch.lerp(images[other], images, own_share)
        return {**batch, "image": mixed, "mixed_label": labels[other], "own_share": own_share}

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar}`; of a mixed batch the losses for both labels, in the shares of their images."""
        if "mixed_label" not in batch:
            return {"loss": self._loss(outputs, batch["label"])}
        own, other = self._loss(outputs, batch["label"]), self._loss(outputs, batch["mixed_label"])
        return {"loss": torch.lerp(other, own, batch["own_share"])}

    def _loss(self, outputs: Mapping[str, Tensor], label: Tensor) -> Tensor:
        loss = self._classifier_loss(outputs["classify"], label)
        for name, logits in outputs.items():
            if name.startswith("classify/auxiliary_"):
                loss = loss + self.auxiliary_weight * self._classifier_loss(logits, label)
        return loss

    def _classifier_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        uniform = -F.log_softmax(logits.float(), dim=1).mean(dim=1)
        counted = label != IGNORE_INDEX
        smoothed = (uniform * counted).sum() / counted.sum().clamp(min=1)
        return (1 - self.label_smoothing) * self.criterion(logits, label) + self.label_smoothing * smoothed
