"""Validation while training: averaged weights in place, the best model handed on, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from typing_extensions import override

from segkit.training.ema import WeightAverage
from segkit.training.meter import Measurement, Meter
from segkit.training.pace import Pace
from segkit.training.processes import Processes

Validate = Callable[[nn.Module], Mapping[str, float]]
OnBest = Callable[[nn.Module, Mapping[str, float]], None]


@dataclass(frozen=True)
class ValidationReport:
    """One validation.

    Attributes:
        epoch: the epoch it happened in or ended, from 1.
        step: steps of the optimizer so far.
        seconds: time of the run so far.
        learning_rate: of the last step.
        training: losses and speed since the last validation.
        scores: what `validate` returned.
        best: whether no earlier score was as high.
    """

    epoch: int
    step: int
    seconds: float
    learning_rate: float
    training: Measurement
    scores: Mapping[str, float]
    best: bool


class Validation(Callback):
    """Validates when the pace says so, and ends the run when the budget is used up or patience is.

    Of several processes the first validates and the others wait for its scores: all of them count alike, and the code
    that scores is that of any evaluation.

    Args:
        validate: scores of a network; `"score"` among them, higher is better.
        on_best: called with the network whenever `"score"` is the highest so far.
        average: the weights that are validated.
        pace: when to validate and when to end.
        meter: what was measured since the last validation.
        patience: end after so many validations without a higher score; None: never.
        reports: called with each validation, in the first process.
        processes: those that train.
    """

    def __init__(
        self,
        validate: Validate,
        on_best: OnBest,
        average: WeightAverage,
        pace: Pace,
        meter: Meter,
        patience: int | None,
        reports: Sequence[Callable[[ValidationReport], None]],
        processes: Processes,
    ) -> None:
        self._validate = validate
        self._on_best = on_best
        self._average = average
        self._pace = pace
        self._meter = meter
        self._patience = patience
        self._reports = reports
        self._processes = processes
        self.best_scores: dict[str, float] | None = None
        self.best_epoch: int | None = None
        self.stopped: str | None = None
        """Why the run ended before its last epoch: `"budget"` or `"patience"`."""
        self._without_better = 0
        self._last_step = -1

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Validate and stop by time."""
        if self._pace.finished():
            # Without any validation there would be no model: better a run that ends late.
            if trainer.global_step != self._last_step and (self.best_scores is None or self._pace.affords_validation()):
                self._run(trainer, pl_module)
            self._stop(trainer, "budget")
        elif self._pace.validation_due(epochs_done=None):
            self._run(trainer, pl_module)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate by epochs."""
        if self._pace.validation_due(epochs_done=trainer.current_epoch + 1):
            self._run(trainer, pl_module)

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Do not begin again what has ended."""
        if checkpoint["callbacks"][self.state_key]["stopped"] is not None:
            trainer.should_stop = True

    @override
    def state_dict(self) -> dict[str, Any]:
        """The best scores, the counters and the pace."""
        return {
            "best_scores": self.best_scores,
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
            "without_better": self._without_better,
            "last_step": self._last_step,
            "pace": self._pace.state_dict(),
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the state."""
        self.best_scores, self.best_epoch = state_dict["best_scores"], state_dict["best_epoch"]
        self.stopped = state_dict["stopped"]
        self._without_better, self._last_step = state_dict["without_better"], state_dict["last_step"]
        self._pace.load_state_dict(state_dict["pace"])

    def _run(self, trainer: Trainer, module: LightningModule) -> None:
        self._meter.require_finite(trainer)
        begin = time.monotonic()
        scores = self._processes.of_first(self._score(module.model) if self._processes.is_first else None)
        best = self._is_best(scores["score"])
        self._pace.validated(time.monotonic() - begin)
        self._count(trainer, scores, best)
        if self._processes.is_first:
            self._report(trainer, scores, best)
        self._meter.reset()
        self._meter.pause_ended()

    def _score(self, model: nn.Module) -> dict[str, float]:
        """The scores of the averaged weights, which are handed on where they are the best."""
        with self._average.in_place(), _modes_kept(model):
            model.eval()
            scores = {name: float(value) for name, value in self._validate(model).items()}
            if self._is_best(scores["score"]):
                self._on_best(model, scores)
        return scores

    def _report(self, trainer: Trainer, scores: dict[str, float], best: bool) -> None:
        report = ValidationReport(
            epoch=trainer.current_epoch + 1,
            step=trainer.global_step,
            seconds=self._pace.elapsed,
            learning_rate=float(trainer.optimizers[0].param_groups[0]["lr"]),
            training=self._meter.measure(),
            scores=scores,
            best=best,
        )
        for tell in self._reports:
            tell(report)

    def _is_best(self, score: float) -> bool:
        """Whether to keep the weights; the first always are, so that every run leaves a model."""
        return self.best_scores is None or math.isnan(self.best_scores["score"]) or score > self.best_scores["score"]

    def _count(self, trainer: Trainer, scores: dict[str, float], best: bool) -> None:
        self._last_step = trainer.global_step
        self._without_better = 0 if best else self._without_better + 1
        if best:
            self.best_scores, self.best_epoch = scores, trainer.current_epoch + 1
        if self._patience is not None and self._without_better >= self._patience:
            self._stop(trainer, "patience")

    def _stop(self, trainer: Trainer, reason: str) -> None:
        self.stopped = self.stopped or reason
        trainer.should_stop = True


@contextmanager
def _modes_kept(model: nn.Module) -> Iterator[None]:
    """Every part of the network is in training or evaluation mode again as it was before the block."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
