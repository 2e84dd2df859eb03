"""Where a run stands in its data: the callback that makes a resumed run draw what the killed one would have drawn."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override


@runtime_checkable
class ResumableSampler(Protocol):
    """A sampler that can begin anywhere: at sample `start` of epoch `epoch`, both set before it is iterated."""

    epoch: int
    start: int


class Position(Callback):
    """Tells the sampler where to begin, and gives each step its own random state from (seed, epoch, batch),
    in each of several processes another.

    Lightning asks the loader for its iterator before any hook of the first epoch runs, so after a resume the sampler
    must know its place when the checkpoint is loaded. The killed process's random state is not needed then.
    """

    def __init__(self, sampler: ResumableSampler, batch_size: int, seed: int, rank: int = 0) -> None:
        self._rank = rank
        self._sampler = sampler
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0
        self._batch = 0

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin at the beginning; a checkpoint loaded after this says otherwise."""
        self._go_to(0, 0)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the epoch; not called in one that is resumed inside."""
        self._go_to(trainer.current_epoch, 0)

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the step's random state."""
        torch.manual_seed(step_seed(self._seed, self._epoch, batch_idx, self._rank))
        self._batch = batch_idx + 1

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A checkpoint from here on goes on with the next epoch."""
        self._epoch, self._batch = self._epoch + 1, 0

    @override
    def state_dict(self) -> dict[str, int]:
        """Epoch, and batches done in it."""
        return {"epoch": self._epoch, "batch": self._batch}

    @override
    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on behind the last batch done."""
        self._go_to(state_dict["epoch"], state_dict["batch"])

    def _go_to(self, epoch: int, batch: int) -> None:
        self._epoch, self._batch = epoch, batch
        self._sampler.epoch, self._sampler.start = epoch, batch * self._batch_size


def step_seed(seed: int, epoch: int, batch: int, rank: int = 0) -> int:
    """A seed of 64 well-mixed bits for one training step of one process."""
    return int(np.random.SeedSequence((seed, epoch, batch, rank)).generate_state(1, np.uint64)[0])
