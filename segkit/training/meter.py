"""What a run measures of itself between two validations: losses, images per second, waiting for data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from segkit.errors import SegkitError

CHECK_EVERY = 20
"""Steps between two looks at the loss on a GPU, where each look waits for the device."""


@dataclass(frozen=True)
class Measurement:
    """Means since the last validation.

    Attributes:
        losses: mean of each loss, of several processes over the images of the first.
        images_per_second: of training, validation left out.
        waiting: share of the time spent waiting for data, 0 to 1.
    """

    losses: Mapping[str, float]
    images_per_second: float
    waiting: float


class Meter(Callback):
    """Sums up losses and times; raises `SegkitError` as soon as the loss is no number.

    Of several processes each counts its own images, and as many for each of the others.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._sums: dict[str, Tensor] = {}
        self._batches = 0
        self._images = 0
        self._waiting = 0.0
        self._working = 0.0
        self._mark = 0.0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to wait."""
        self.pause_ended()

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The data has come."""
        now = time.monotonic()
        self._waiting += now - self._mark
        self._mark = now

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Mapping[str, Tensor],
        batch: Mapping[str, Tensor],
        batch_idx: int,
    ) -> None:
        """The step is done."""
        for name, value in outputs.items():
            # In float64 and on the device: summing there costs no waiting, and a NaN stays in the sum.
            self._sums[name] = self._sums.get(name, 0.0) + value.detach().double()
        self._batches += 1
        self._images += len(batch["image"]) * self._processes
        now = time.monotonic()
        self._working += now - self._mark
        self._mark = now
        if pl_module.device.type == "cpu" or self._batches % CHECK_EVERY == 0:
            self.require_finite(trainer)

    def pause_ended(self) -> None:
        """Validation or saving is over: do not count it as waiting for data."""
        self._mark = time.monotonic()

    def require_finite(self, trainer: Trainer) -> None:
        """Raise `SegkitError` when a loss has become NaN or infinite."""
        if "loss" in self._sums and not torch.isfinite(self._sums["loss"]):
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            raise SegkitError(
                f"the loss is no longer a number at epoch {trainer.current_epoch + 1}, step {trainer.global_step} "
                f"(learning rate {rate:.2g}); try a smaller '--learning-rate', or '--precision fp32'"
            )

    def measure(self) -> Measurement:
        """The means so far."""
        time_spent = self._waiting + self._working
        return Measurement(
            losses={name: float(total) / self._batches for name, total in self._sums.items()},
            images_per_second=self._images / time_spent if time_spent else 0.0,
            waiting=self._waiting / time_spent if time_spent else 0.0,
        )

    def reset(self) -> None:
        """Begin anew."""
        self._sums, self._batches, self._images, self._waiting, self._working = {}, 0, 0, 0.0, 0.0

    @override
    def state_dict(self) -> dict[str, Any]:
        """Sums so far, so that a resumed run logs the same losses."""
        return {
            "sums": {name: float(total) for name, total in self._sums.items()},
            "batches": self._batches,
            "images": self._images,
            "waiting": self._waiting,
            "working": self._working,
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on summing up."""
        self._sums = {name: torch.tensor(total, dtype=torch.float64) for name, total in state_dict["sums"].items()}
        self._batches, self._images = state_dict["batches"], state_dict["images"]
        self._waiting, self._working = state_dict["waiting"], state_dict["working"]
