"""What a user sees of a training: a moving bar on a terminal, one line per validation anywhere."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from typing_extensions import override

from segkit.training.meter import Measurement, Meter
from segkit.training.pace import Pace
from segkit.training.validation import ValidationReport

REFRESH_SECONDS = 0.5


class ProgressDisplay(Callback):
    """Shows share done, loss, last score, images per second and the share of time spent waiting for data."""

    def __init__(self, console: Console, pace: Pace, meter: Meter, epochs: int | None, score_name: str) -> None:
        self._console = console
        self._pace = pace
        self._meter = meter
        self._epochs = epochs
        self._score_name = score_name
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._refreshed = 0.0
        self._score = ""

    def validated(self, report: ValidationReport) -> None:
        """Print the validation's line."""
        self._score = f"  {self._score_name} {report.scores['score']:.4f}"
        self._console.print(
            f"{self._place(report.epoch)}  step {report.step}  {report.seconds:.0f} s{self._words(report.training)}"
            f"{' (best)' if report.best else ''}",
            highlight=False,
            soft_wrap=True,
        )

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar where it can move."""
        if self._console.is_terminal and not self._console.quiet:
            columns = (
                TextColumn("training"),
                BarColumn(),
                TextColumn("{task.percentage:.0f} %"),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, twice a second at most: reading the loss waits for a GPU."""
        now = time.monotonic()
        if self._bar is None or now - self._refreshed < REFRESH_SECONDS:
            return
        self._refreshed = now
        self._bar.update(
            self._task,
            completed=self._pace.progress(trainer.global_step),
            description=f"{self._place(trainer.current_epoch + 1)}{self._words(self._meter.measure())}",
        )

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self._stop()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the bar away."""
        self._stop()

    def _place(self, epoch: int) -> str:
        return f"epoch {epoch}" if self._epochs is None else f"epoch {epoch}/{self._epochs}"

    def _words(self, measured: Measurement) -> str:
        loss = f"  loss {measured.losses['loss']:.4f}" if measured.losses else ""
        speed = f"  {measured.images_per_second:.1f} images/s  waiting for data {measured.waiting:.0%}"
        return f"{loss}{self._score}{speed}"

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
