"""Averaged weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn
from typing_extensions import override


def ema_decay(decay: float, updates: int) -> float:
    """The decay of update number `updates` (from 0): min(decay, (1 + n) / (10 + n)), as in TensorFlow's `num_updates`.

    Without this warm-up a short run would validate its initial weights.
    """
    return min(decay, (1 + updates) / (10 + updates))


class WeightAverage(Callback):
    """Exponential moving average of the network's weights, and of the statistics of its batch norms.

    Averaging the statistics along with the weights keeps them fit for each other; counters stay the network's own.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._updates = 0
        self._live: dict[str, Tensor] = {}
        self._averages: dict[str, Tensor] = {}
        self._loaded: dict[str, Tensor] = {}

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the network's own values, or with those of the checkpoint, on the network's device."""
        state = pl_module.model.state_dict(keep_vars=True)
        self._live = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
        self._averages = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        for name, tensor in self._loaded.items():
            self._averages[name].copy_(tensor)
        self._loaded = {}

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average after every step of the optimizer; while gradients accumulate nothing has changed."""
        if trainer.global_step > self._updates:
            average = get_ema_multi_avg_fn(ema_decay(self._decay, self._updates))
            average(list(self._averages.values()), [tensor.detach() for tensor in self._live.values()], 0)
            self._updates += 1

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the network with the averaged values."""
        self._swap()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network holds the averaged values inside the block, and exactly its own again after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @override
    def state_dict(self) -> dict[str, Any]:
        """Averages and number of updates."""
        return {"updates": self._updates, "averages": self._averages}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the averages until the network is on its device."""
        self._updates = state_dict["updates"]
        self._loaded = state_dict["averages"]

    def _swap(self) -> None:
        """Exchange the storages, so that nothing is copied or rounded."""
        for name, tensor in self._live.items():
            tensor.data, self._averages[name] = self._averages[name], tensor.data
