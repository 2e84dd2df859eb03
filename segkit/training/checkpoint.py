"""Checkpoints that are either whole or not there, and hold nothing but tensors and plain values."""

from __future__ import annotations

import io
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import CheckpointIO
from typing_extensions import override

from segkit.errors import OutputError, SegkitError
from segkit.ops.files import make_folder, write_atomically
from segkit.training.interrupt import Interrupted, Interrupts
from segkit.training.meter import Meter
from segkit.training.processes import Processes

SAVING_SHARE = 0.05
"""Saving at the ends of short epochs takes at most about this share of the time."""


class CheckpointFiles(CheckpointIO):
    """Writes whole files or none; reads without running code from the file."""

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Replace `path`; raises `OutputError` and leaves the file there as it was when it cannot be written."""
        # In memory first: writing to a file itself, torch would hide the system's reason in a RuntimeError.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            make_folder(Path(path).parent)
            write_atomically(path, content.getvalue())
        except OutputError as error:
            raise OutputError(f"{error}; '--resume' goes on from the checkpoint before, which is unharmed") from None

    @override
    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Tensors on the CPU and plain values; raises `SegkitError` when the file is no whole checkpoint."""
        try:
            with Path(path).open("rb") as file:
                if not zipfile.is_zipfile(file):  # what torch writes is one, and is none when it was cut short
                    raise _unusable(path, "it is damaged or no checkpoint of segkit")
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise _unusable(path, str(error.strerror or error)) from None
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = " ".join(str(error).split())[:200]
            raise _unusable(path, f"it is damaged or no checkpoint of segkit ({reason})") from None
        if not (isinstance(checkpoint, dict) and "state_dict" in checkpoint):
            raise _unusable(path, "it holds something else than a checkpoint of segkit")
        return checkpoint

    @override
    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete `path`."""
        Path(path).unlink(missing_ok=True)


class Checkpoint(Callback):
    """Saves at the end of epochs, at least every `seconds` within them, and when the run is interrupted.

    Saving waits for a step of the optimizer: accumulated gradients are not part of a checkpoint.
    """

    def __init__(self, path: Path, seconds: float, interrupts: Interrupts, meter: Meter, processes: Processes) -> None:
        self._path = path
        self._seconds = seconds
        self._interrupts = interrupts
        self._meter = meter
        self._processes = processes
        self._saved_at = 0.0
        self._took = 0.0
        self._between_steps = False

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count the time."""
        self._saved_at = time.monotonic()

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """What happens from now on is not in a checkpoint before the step's end."""
        self._between_steps = False

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save inside an epoch; its last step is left to the epoch's end, which validates first."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        self._between_steps = stepped and not trainer.is_last_batch and not trainer.should_stop
        if not self._between_steps:
            return
        signal = self._interrupts.agreed()
        if signal or self._processes.number_of_first(time.monotonic() - self._saved_at) >= self._seconds:
            self._save(trainer)
        self._leave_if_asked(signal)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after the epoch and its validation, unless epochs are so short that saving would slow the run down."""
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        signal = self._interrupts.agreed()
        affordable = (
            self._processes.number_of_first(SAVING_SHARE * (time.monotonic() - self._saved_at) - self._took) >= 0
        )
        if last or affordable or signal:
            self._save(trainer)
        if not last:
            self._leave_if_asked(signal)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save where the signal also ended the loader's processes, as Ctrl-C does, while the run waited for data.

        One of several processes cannot: saving is something they do together, and the others are elsewhere.
        """
        signal, alone = self._interrupts.received, self._processes.count == 1
        if signal and alone and self._between_steps and not isinstance(exception, SegkitError):
            self._save(trainer)
            self._leave_if_asked(signal)

    def _save(self, trainer: Trainer) -> None:
        self._meter.require_finite(trainer)
        begin = time.monotonic()
        trainer.save_checkpoint(self._path)
        self._saved_at = time.monotonic()
        self._took = self._saved_at - begin
        self._meter.pause_ended()

    def _leave_if_asked(self, signal: int | None) -> None:
        if signal:
            raise Interrupted(signal, f"interrupted; saved {self._path}")


def _unusable(path: str | Path, reason: str) -> SegkitError:
    return SegkitError(f"cannot resume from {path}: {reason}; start a new run")
