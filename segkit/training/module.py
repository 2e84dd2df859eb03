"""One training step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from typing_extensions import override

from segkit.errors import ConfigError
from segkit.tasks import Task
from segkit.training.config import TrainingConfig
from segkit.training.optimizer import create_optimizer
from segkit.training.pace import Pace
from segkit.training.schedule import learning_rate_factor

FREE_TO_CHANGE = frozenset({"workers", "checkpoint_seconds"})
"""Settings that may differ in a resumed run, because no weight depends on them."""


class TrainingModule(LightningModule):
    """The network, its task and its optimizer, in Lightning's terms."""

    def __init__(self, model: nn.Module, task: Task, config: TrainingConfig, pace: Pace) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self._config = config
        self._pace = pace
        self.last_batch: Mapping[str, Tensor] | None = None
        """The batch in work, for the explanation of an error."""

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer; its learning rate is set before every step."""
        config = self._config
        return create_optimizer(
            self.model, config.learning_rate, config.weight_decay, config.optimizer, config.momentum
        )

    @override
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate for the step."""
        progress = self._pace.progress(self.global_step)
        for group in self.optimizers().param_groups:
            group["lr"] = self._config.learning_rate * learning_rate_factor(progress, self._config.warmup)

    @override
    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Images (N, C, H, W) to losses."""
        self.last_batch = batch
        batch = self.task.mix(batch)
        images = batch["image"]
        if self._config.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.task.loss(self.model(images), batch)

    @override
    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Limit the gradient's norm; Lightning's own clipping refuses fused optimizers in mixed precision."""
        if self._config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._config.clip_norm)

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the settings."""
        checkpoint["config"] = self._config.model_dump(mode="json")

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on under other settings."""
        # A setting that came after the run began had its default then.
        before = TrainingConfig().model_dump(mode="json") | checkpoint["config"]
        now = self._config.model_dump(mode="json")
        changed = [key for key in now if key not in FREE_TO_CHANGE and before[key] != now[key]]
        if changed:
            differences = ", ".join(f"{key} was {before[key]} and is now {now[key]}" for key in changed)
            raise ConfigError(
                f"cannot resume with other settings: {differences}; resume without them, or start a new run"
            )
